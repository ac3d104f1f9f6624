// Mutations of inputs, for the driver that has no libFuzzer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/random.h"

namespace semper::fuzz {

inline void mutate_once(Random& random, const std::vector<Bytes>& seeds, Bytes& input) {
  // Lengths and numbers that are at the edge of something, as the bytes of several forms have them.
  static constexpr std::array<std::string_view, 23> kEdges = {
      "\xff",
      "\x80",
      "\x7f",
      "\x17",
      "\x18",
      "\x9b\x7f\xff",
      "\xff\xff\xff\xff",
      "\x5f",
      "\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
      "\x9a\x10",
      "\xbb\xff",
      "\xc0",
      "\xf8",
      "\xfb\x7f\xf0",
      "null",
      "{}",
      "[]",
      "\"\"",
      "-1",
      "1e9",
      "true",
      "99999999999999999999",
      "\n"};
  const auto place = [&](std::size_t size) {
    return static_cast<std::size_t>(size == 0 ? 0 : random.below(size));
  };
  const std::size_t at = place(input.size() + 1);
  const std::size_t size = std::min<std::size_t>(1 + place(16), input.size() - at);
  switch (random.below(8)) {
    case 0:
      if (!input.empty()) {
        char& byte = input[place(input.size())];
        byte = static_cast<char>(byte ^ (1 << random.below(8)));
      }
      return;
    case 1:
      input.replace(at, size, random.bytes(size));
      return;
    case 2:
      input.insert(at, random.bytes(1 + place(4)));
      return;
    case 3:
      input.erase(at, size);
      return;
    case 4: {
      const auto edge = kEdges[place(kEdges.size())];
      input.replace(at, std::min(edge.size(), input.size() - at), edge);
      return;
    }
    case 5: {
      const Bytes copied = input.substr(place(input.size() + 1), 1 + place(64));
      input.insert(at, copied);
      return;
    }
    case 6: {
      const Bytes& other = seeds[place(seeds.size())];
      const std::size_t from = place(other.size() + 1);
      input.replace(at, random.chance(0.5) ? size : std::string::npos,
                    other.substr(from, 1 + place(256)));
      return;
    }
    default:
      if (random.chance(0.2)) input.resize(at);
  }
}

inline Bytes mutate(Random& random, const std::vector<Bytes>& seeds, std::size_t size_maximum) {
  Bytes input =
      seeds.empty() ? Bytes() : seeds[static_cast<std::size_t>(random.below(seeds.size()))];
  if (random.chance(0.02)) input = random.bytes(static_cast<std::size_t>(random.below(512)));
  for (std::uint64_t changes = 1 + random.below(6); changes > 0; --changes) {
    mutate_once(random, seeds, input);
  }
  if (input.size() > std::max(size_maximum, std::size_t{1})) input.resize(size_maximum);
  return input;
}

}  // namespace semper::fuzz
