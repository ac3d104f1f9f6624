// Versionstamp: the unique, globally ordered number that a store gives to a commit.
//
// What for: keys and values whose order must be the order of commits (queues, logs, cache checks),
// without a counter that every transaction would contend for. When not: as a time (versions only
// grow, at no stated rate), or if numbers must have no gaps.
//
//   auto first = semper::Versionstamp::complete(12, 0, 7);   // version, batch order, user version
//   first.to_string();                                       // "000000000000000c-0000-0007"
//   auto to_fill = semper::Versionstamp::incomplete(7);      // the store fills it at commit
//
// Layout, 12 bytes, FoundationDB's exactly, so that bytewise order is commit order:
//
//   8 bytes  commit version, big endian    written by the store at commit
//   2 bytes  batch order, big endian       written by the store: order among commits of one version
//   2 bytes  user version, big endian      written by the caller: order within one transaction
//
// An incomplete stamp has ten 0xff bytes where the store will write. It sorts after every complete
// stamp, as uncommitted data comes after committed data.
//
// Threads: a value, freely copied and moved between threads. Nothing here is durable by itself.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper {

class Versionstamp {
 public:
  static constexpr std::size_t size = 12;
  // How many leading bytes the store writes at commit; the rest is the user version.
  static constexpr std::size_t store_size = 10;

  // The incomplete stamp of user version 0.
  Versionstamp() noexcept;

  // A stamp whose ten bytes are known. Precondition (asserted): version and batch order are not
  // both all-ones, which is how an incomplete stamp is written.
  static Versionstamp complete(std::uint64_t version, std::uint16_t batch, std::uint16_t user);

  // A stamp that the store fills in at the commit (see Transaction). User versions order the stamps
  // that one transaction writes; equal user versions in one transaction give equal stamps.
  static Versionstamp incomplete(std::uint16_t user) noexcept;

  // Reads the 12 bytes. invalid_argument if there are more or fewer: pass exactly the stamp.
  static Result<Versionstamp> from_bytes(BytesView bytes);

  // Reads what to_string writes, in either case, and also 24 digits without hyphens.
  // invalid_argument for anything else: correct the text.
  static Result<Versionstamp> from_string(std::string_view text);

  bool is_complete() const noexcept;

  // All-ones in an incomplete stamp.
  std::uint64_t version() const noexcept;
  std::uint16_t batch() const noexcept;
  std::uint16_t user() const noexcept;

  // The same stamp with another user version.
  Versionstamp with_user(std::uint16_t user) const noexcept;

  // The 12 bytes; the view lives as long as this object.
  BytesView bytes() const noexcept;

  // Lower-case hexadecimal, parts apart: "000000000000000c-0000-0007".
  std::string to_string() const;

  // Order of the bytes: version, then batch order, then user version.
  friend std::strong_ordering operator<=>(const Versionstamp& a, const Versionstamp& b) noexcept {
    return a.bytes() <=> b.bytes();
  }
  friend bool operator==(const Versionstamp&, const Versionstamp&) = default;

 private:
  std::array<std::uint8_t, size> bytes_;
};

}  // namespace semper

template <>
struct std::hash<semper::Versionstamp> {
  std::size_t operator()(const semper::Versionstamp& stamp) const noexcept;
};
