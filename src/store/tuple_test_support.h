// Tuples for tests: every edge of every type, and random ones from a seed. For tests only.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "semper/store/tuple.h"

namespace semper::testing {

// sign * (2^bits + offset), offset being -1, 0 or 1.
inline BigInteger near_power_of_two(Sign sign, std::size_t bits, int offset) {
  Bytes magnitude(bits / 8 + 1, '\0');
  magnitude[0] = static_cast<char>(1u << (bits % 8));
  if (offset > 0) magnitude.back() = static_cast<char>(magnitude.back() | 1);
  if (offset < 0) {
    for (std::size_t i = magnitude.size(); i-- > 0;) {
      magnitude[i] = static_cast<char>(static_cast<unsigned char>(magnitude[i]) - 1);
      if (magnitude[i] != '\xff') break;
    }
  }
  return BigInteger::from_magnitude(sign, magnitude).value();
}

inline std::vector<TupleElement> edge_integers() {
  std::vector<TupleElement> edges = {0,
                                     1,
                                     -1,
                                     std::numeric_limits<std::int64_t>::max(),
                                     std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::uint64_t>::max()};
  for (const Sign sign : {Sign::positive, Sign::negative}) {
    for (std::size_t bits :
         {7u, 8u, 15u, 16u, 24u, 31u, 32u, 40u, 48u, 56u, 63u, 64u, 65u, 72u, 127u, 128u, 2032u}) {
      for (const int offset : {-1, 0, 1}) edges.push_back(near_power_of_two(sign, bits, offset));
    }
    edges.push_back(near_power_of_two(sign, 2039, 1));
    edges.push_back(BigInteger::from_magnitude(sign, Bytes(255, '\xff')).value());
  }
  return edges;
}

inline std::vector<TupleElement> edge_floats() {
  std::vector<TupleElement> edges;
  for (const std::uint32_t bits :
       {0x00000000u, 0x00000001u, 0x007fffffu, 0x00800000u, 0x3f800000u, 0x7f7fffffu, 0x7f800000u,
        0x7f800001u, 0x7fc00000u, 0x7fffffffu}) {
    for (const std::uint32_t sign : {0u, 0x80000000u}) {
      edges.push_back(std::bit_cast<float>(bits | sign));
      const auto wide = static_cast<std::uint64_t>(bits | sign) << 32;
      edges.push_back(std::bit_cast<double>(wide));
      edges.push_back(std::bit_cast<double>(wide | 0xffffffff));
    }
  }
  return edges;
}

inline std::vector<TupleElement> edge_strings() {
  std::vector<TupleElement> edges;
  for (const std::string& text :
       {std::string(), std::string("\0", 1), std::string("\0\0", 2), std::string("\0\x01", 2),
        std::string("a"), std::string("a\0", 2), std::string("a\0a", 3), std::string("aa"),
        std::string("\x01"), std::string("\x7f"), std::string("é"), std::string("\xf0\x9f\x94\xa5"),
        std::string(40, 'a')}) {
    edges.emplace_back(text);
    edges.emplace_back(ByteString{text});
  }
  for (const Bytes& bytes : {bytes_of({0xff}), bytes_of({0xff, 0xff}), bytes_of({0x00, 0xff}),
                             bytes_of({0x00, 0xff, 0x00}), bytes_of({'a', 0xff})}) {
    edges.emplace_back(ByteString{bytes});
  }
  return edges;
}

inline std::vector<TupleElement> edge_elements() {
  std::vector<TupleElement> edges = {nullptr,
                                     false,
                                     true,
                                     Uuid{},
                                     Uuid::from_bytes(Bytes(16, '\xff')).value(),
                                     Uuid::from_bytes(Bytes(16, '\x7f')).value(),
                                     Versionstamp::complete(0, 0, 0),
                                     Versionstamp::complete(1, 0, 0xffff),
                                     Versionstamp::complete(~std::uint64_t{0}, 0xfffe, 0),
                                     Versionstamp::incomplete(0),
                                     Versionstamp::incomplete(0xffff),
                                     nested_tuple({}),
                                     nested_tuple({nullptr}),
                                     nested_tuple({nullptr, nullptr}),
                                     nested_tuple({nullptr, 1}),
                                     nested_tuple({nested_tuple({})}),
                                     nested_tuple({nested_tuple({}), nullptr}),
                                     nested_tuple({nested_tuple({nullptr})}),
                                     nested_tuple({ByteString{}}),
                                     nested_tuple({ByteString{Bytes(1, '\0')}}),
                                     nested_tuple({"", nullptr}),
                                     nested_tuple({0})};
  for (const auto& more : {edge_integers(), edge_floats(), edge_strings()}) {
    edges.insert(edges.end(), more.begin(), more.end());
  }
  return edges;
}

// Draws elements and tuples in which edges, near-equal values and deep nesting are common.
class TupleSource {
 public:
  explicit TupleSource(std::uint64_t seed) : random_(seed), edges_(edge_elements()) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  TupleElement element(std::size_t depth = 3) {
    switch (below(depth > 0 ? 8 : 6)) {
      case 0:
        return static_cast<std::int64_t>(random_() >> below(64));
      case 1:
        return -static_cast<std::int64_t>(random_() >> (1 + below(63)));
      case 2:
        return ByteString{bytes()};
      case 3:
        return std::bit_cast<double>(random_());
      case 4:
      case 5:
        return edges_[below(edges_.size())];
      default:
        return nested_tuple(tuple(depth - 1));
    }
  }

  Tuple tuple(std::size_t depth = 3) {
    Tuple result;
    for (auto count = below(4); count > 0; --count) result.append(element(depth));
    return result;
  }

  // Short, of few different bytes, so that prefixes and equal ones are common.
  Bytes bytes() {
    static constexpr char octets[] = {'\x00', '\x01', 'a', '\xfe', '\xff'};
    Bytes result;
    for (auto count = below(5); count > 0; --count) result.push_back(octets[below(sizeof(octets))]);
    return result;
  }

 private:
  std::mt19937_64 random_;
  std::vector<TupleElement> edges_;
};

}  // namespace semper::testing
