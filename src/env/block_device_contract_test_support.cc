#include "block_device_contract_test_support.h"

#include <cstring>

#include "semper/env/random.h"

namespace semper::testing {

AlignedBuffer pattern(std::size_t length, std::uint64_t seed) {
  AlignedBuffer buffer(length);
  SeededRandom random(seed);
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= length; at += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random.next();
    std::memcpy(buffer.data() + at, &bits, sizeof bits);
  }
  return buffer;
}

bool same_bytes(const AlignedBuffer& one, const AlignedBuffer& other) {
  return one.view() == other.view();
}

}  // namespace semper::testing
