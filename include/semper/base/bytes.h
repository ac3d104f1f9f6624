// Bytes: an owned byte string; BytesView: a borrowed one.
//
// What for: keys, values, messages and everything else that goes to a disk or a wire. Both are the
// standard string types, so that literals, comparison (unsigned, bytewise: the order of keys),
// hashing and the small-string optimisation come for free. When not: text for people is also a
// std::string, but let the parameter's name say so.
//
//   semper::Bytes value = semper::bytes_of({0x00, 0xff});
//   std::string log_line = semper::to_printable(value);   // "\x00\xff"
//
// Ownership: a function that takes a BytesView keeps no reference after it returns (for coroutines:
// after it completes) unless its comment says otherwise.
#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace semper {

using Bytes = std::string;
using BytesView = std::string_view;

// A byte string that is never treated as text: where both are possible, a std::string is text.
struct ByteString {
  Bytes bytes;

  friend auto operator<=>(const ByteString&, const ByteString&) = default;
};

// The given octets, in order.
Bytes bytes_of(std::initializer_list<std::uint8_t> octets);

// Lower-case hexadecimal, two digits a byte: "00ff".
std::string to_hex(BytesView bytes);

// Printable ASCII unchanged, backslashes doubled, everything else as \xHH; for messages and logs.
// At most `limit` input bytes are shown, then "…(N bytes)".
std::string to_printable(BytesView bytes, std::size_t limit = 256);

// True if the bytes are well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(BytesView bytes) noexcept;

// Fixed-width integers in both byte orders, appended to or read from the front of a byte string.
// Precondition of the loads: the view has at least that many bytes (asserted).
void append_big_endian_u16(Bytes& out, std::uint16_t value);
void append_big_endian_u32(Bytes& out, std::uint32_t value);
void append_big_endian_u64(Bytes& out, std::uint64_t value);
void append_little_endian_u32(Bytes& out, std::uint32_t value);
void append_little_endian_u64(Bytes& out, std::uint64_t value);
std::uint16_t load_big_endian_u16(BytesView in) noexcept;
std::uint32_t load_big_endian_u32(BytesView in) noexcept;
std::uint64_t load_big_endian_u64(BytesView in) noexcept;
std::uint32_t load_little_endian_u32(BytesView in) noexcept;
std::uint64_t load_little_endian_u64(BytesView in) noexcept;

}  // namespace semper
