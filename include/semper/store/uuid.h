// Uuid: the sixteen bytes of RFC 4122, as tuple keys hold them.
//
// What for: reading and writing uuid elements of keys. When not: creating new ones; draw sixteen
// bytes from Random, and set the version bits if a reader needs them.
//
//   auto id = semper::Uuid::from_string("00112233-4455-6677-8899-aabbccddeeff").value();
//
// Threads: a value, freely copied and moved between threads.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper {

struct Uuid {
  static constexpr std::size_t size = 16;

  std::array<std::uint8_t, size> octets{};  // network order

  // Exactly 16 bytes, otherwise invalid_argument.
  static Result<Uuid> from_bytes(BytesView bytes);

  // 32 hexadecimal digits, either case, with hyphens after the 8th, 12th, 16th and 20th, or with
  // none. invalid_argument for anything else: correct the text.
  static Result<Uuid> from_string(std::string_view text);

  // The 16 bytes; the view lives as long as this object.
  BytesView bytes() const noexcept;

  // Lower case, with hyphens.
  std::string to_string() const;

  friend std::strong_ordering operator<=>(const Uuid& a, const Uuid& b) noexcept {
    return a.bytes() <=> b.bytes();
  }
  friend bool operator==(const Uuid&, const Uuid&) = default;
};

}  // namespace semper
