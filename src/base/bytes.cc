#include "semper/base/bytes.h"

#include <cstddef>
#include <cstring>

#include "semper/base/assert.h"

namespace semper {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

void append_hex(std::string& out, unsigned char octet) {
  out.push_back(kHexDigits[octet >> 4]);
  out.push_back(kHexDigits[octet & 0x0f]);
}

template <class T>
void append_big_endian(Bytes& out, T value) {
  char octets[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    octets[i] = static_cast<char>(value >> (8 * (sizeof(T) - 1 - i)));
  }
  out.append(octets, sizeof(T));
}

template <class T>
void append_little_endian(Bytes& out, T value) {
  char octets[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    octets[i] = static_cast<char>(value >> (8 * i));
  }
  out.append(octets, sizeof(T));
}

template <class T>
T load_big_endian(BytesView in) {
  SEMPER_ASSERT(in.size() >= sizeof(T), "the caller checks the length before it loads an integer");
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value =
        static_cast<T>(static_cast<std::uint64_t>(value) << 8 | static_cast<unsigned char>(in[i]));
  }
  return value;
}

template <class T>
T load_little_endian(BytesView in) {
  SEMPER_ASSERT(in.size() >= sizeof(T), "the caller checks the length before it loads an integer");
  T value = 0;
  for (std::size_t i = sizeof(T); i > 0; --i) {
    value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 |
                           static_cast<unsigned char>(in[i - 1]));
  }
  return value;
}

// The length of the well-formed multi-byte sequence at the front (Unicode 15, table 3-7), 0 where
// there is none. `left` is at least 1 and the first byte is not ASCII.
std::size_t multi_byte_length(const unsigned char* at, std::size_t left) noexcept {
  const unsigned char lead = at[0];
  std::size_t length = 0;
  unsigned char second_low = 0x80;
  unsigned char second_high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) second_low = 0xa0;   // below: overlong
    if (lead == 0xed) second_high = 0x9f;  // above: surrogates
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) second_low = 0x90;   // below: overlong
    if (lead == 0xf4) second_high = 0x8f;  // above: past U+10FFFF
  }
  if (length == 0 || length > left) return 0;
  if (at[1] < second_low || at[1] > second_high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

Bytes bytes_of(std::initializer_list<std::uint8_t> octets) {
  return Bytes(octets.begin(), octets.end());
}

std::string to_hex(BytesView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char octet : bytes) append_hex(out, static_cast<unsigned char>(octet));
  return out;
}

std::string to_printable(BytesView bytes, std::size_t limit) {
  std::string out;
  for (const char character : bytes.substr(0, limit)) {
    const auto octet = static_cast<unsigned char>(character);
    if (octet == '\\') {
      out += "\\\\";
    } else if (octet >= 0x20 && octet < 0x7f) {
      out.push_back(character);
    } else {
      out += "\\x";
      append_hex(out, octet);
    }
  }
  if (bytes.size() > limit) out += "…(" + std::to_string(bytes.size()) + " bytes)";
  return out;
}

bool is_utf8(BytesView bytes) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  while (left > 0) {
    if (left >= sizeof(std::uint64_t)) {  // most text is ASCII: eight at a time
      std::uint64_t word = 0;
      std::memcpy(&word, at, sizeof(word));
      if ((word & 0x8080808080808080u) == 0) {
        at += sizeof(word);
        left -= sizeof(word);
        continue;
      }
    }
    const std::size_t length = *at < 0x80 ? 1 : multi_byte_length(at, left);
    if (length == 0) return false;
    at += length;
    left -= length;
  }
  return true;
}

void append_big_endian_u16(Bytes& out, std::uint16_t value) {
  append_big_endian(out, value);
}
void append_big_endian_u32(Bytes& out, std::uint32_t value) {
  append_big_endian(out, value);
}
void append_big_endian_u64(Bytes& out, std::uint64_t value) {
  append_big_endian(out, value);
}
void append_little_endian_u32(Bytes& out, std::uint32_t value) {
  append_little_endian(out, value);
}
void append_little_endian_u64(Bytes& out, std::uint64_t value) {
  append_little_endian(out, value);
}

std::uint16_t load_big_endian_u16(BytesView in) noexcept {
  return load_big_endian<std::uint16_t>(in);
}
std::uint32_t load_big_endian_u32(BytesView in) noexcept {
  return load_big_endian<std::uint32_t>(in);
}
std::uint64_t load_big_endian_u64(BytesView in) noexcept {
  return load_big_endian<std::uint64_t>(in);
}
std::uint32_t load_little_endian_u32(BytesView in) noexcept {
  return load_little_endian<std::uint32_t>(in);
}
std::uint64_t load_little_endian_u64(BytesView in) noexcept {
  return load_little_endian<std::uint64_t>(in);
}

}  // namespace semper
