#include "semper/base/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "base/crc32c_paths.h"
#include "semper/base/assert.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace semper {
namespace crc32c_paths {
namespace {

static_assert(std::endian::native == std::endian::little, "words are loaded as they lie in memory");

constexpr std::uint32_t kPolynomialReflected = 0x82f63b78;

using Table = std::array<std::uint32_t, 256>;

constexpr Table byte_table() {
  Table table{};
  for (std::uint32_t octet = 0; octet < 256; ++octet) {
    std::uint32_t remainder = octet;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kPolynomialReflected : 0);
    }
    table[octet] = remainder;
  }
  return table;
}

constexpr std::size_t kSlices = 8;

// slice[k][b]: the remainder of byte b followed by k zero bytes.
constexpr std::array<Table, kSlices> slice_tables() {
  std::array<Table, kSlices> slices{};
  slices[0] = byte_table();
  for (std::size_t k = 1; k < kSlices; ++k) {
    for (std::size_t octet = 0; octet < 256; ++octet) {
      const std::uint32_t before = slices[k - 1][octet];
      slices[k][octet] = (before >> 8) ^ slices[0][before & 0xff];
    }
  }
  return slices;
}

constexpr std::array<Table, kSlices> kSlice = slice_tables();

std::uint64_t load_word(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

}  // namespace

std::uint32_t by_table(BytesView bytes, std::uint32_t seed) noexcept {
  std::uint32_t state = ~seed;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= sizeof(std::uint64_t); left -= sizeof(std::uint64_t)) {
    const std::uint64_t word = load_word(at) ^ state;
    state = 0;
    for (std::size_t k = 0; k < kSlices; ++k) {
      state ^= kSlice[kSlices - 1 - k][(word >> (8 * k)) & 0xff];
    }
    at += sizeof(word);
  }
  for (; left > 0; --left) {
    state = (state >> 8) ^ kSlice[0][(state ^ static_cast<unsigned char>(*at++)) & 0xff];
  }
  return ~state;
}

#if defined(__x86_64__)

namespace {

// The instruction has a latency of three cycles and a throughput of one: three chains over three
// neighbouring stretches run at full speed. The chains are joined by moving the earlier ones over
// the bytes that follow them, that is over a fixed number of zero bytes, which is linear: four
// look-ups.
using ShiftTable = std::array<Table, 4>;

template <std::size_t kStretchBytes>
constexpr ShiftTable shift_table() {
  const Table one_byte = byte_table();
  std::array<std::uint32_t, 32> shifted_bit{};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    std::uint32_t state = std::uint32_t{1} << bit;
    for (std::size_t i = 0; i < kStretchBytes; ++i) {
      state = (state >> 8) ^ one_byte[state & 0xff];
    }
    shifted_bit[bit] = state;
  }
  ShiftTable table{};
  for (std::size_t lane = 0; lane < 4; ++lane) {
    for (std::size_t octet = 0; octet < 256; ++octet) {
      for (std::size_t bit = 0; bit < 8; ++bit) {
        if ((octet >> bit & 1) != 0) table[lane][octet] ^= shifted_bit[8 * lane + bit];
      }
    }
  }
  return table;
}

std::uint64_t shift(const ShiftTable& table, std::uint64_t state) {
  return table[0][state & 0xff] ^ table[1][state >> 8 & 0xff] ^ table[2][state >> 16 & 0xff] ^
         table[3][state >> 24 & 0xff];
}

template <std::size_t kStretchBytes>
__attribute__((target("sse4.2"))) std::uint64_t three_chains(const char*& at, std::size_t& left,
                                                             std::uint64_t state) {
  static constexpr ShiftTable kShift = shift_table<kStretchBytes>();
  for (; left >= 3 * kStretchBytes; left -= 3 * kStretchBytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kStretchBytes; i += sizeof(std::uint64_t)) {
      state = _mm_crc32_u64(state, load_word(at + i));
      second = _mm_crc32_u64(second, load_word(at + kStretchBytes + i));
      third = _mm_crc32_u64(third, load_word(at + 2 * kStretchBytes + i));
    }
    state = shift(kShift, shift(kShift, state) ^ second) ^ third;
    at += 3 * kStretchBytes;
  }
  return state;
}

}  // namespace

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(BytesView bytes,
                                                               std::uint32_t seed) noexcept {
  // Long stretches make joining cheap, short ones serve a record of a few hundred bytes.
  constexpr std::size_t kLongStretchBytes = 1360;
  constexpr std::size_t kShortStretchBytes = 168;
  std::uint64_t state = static_cast<std::uint32_t>(~seed);
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  state = three_chains<kLongStretchBytes>(at, left, state);
  state = three_chains<kShortStretchBytes>(at, left, state);
  for (; left >= sizeof(std::uint64_t); left -= sizeof(std::uint64_t)) {
    state = _mm_crc32_u64(state, load_word(at));
    at += sizeof(std::uint64_t);
  }
  auto narrow = static_cast<std::uint32_t>(state);
  for (; left > 0; --left) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at++));
  return ~narrow;
}

bool has_instruction() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}

#else

std::uint32_t by_instruction(BytesView, std::uint32_t) noexcept {
  SEMPER_ASSERT(false, "only called where has_instruction() is true");
}

bool has_instruction() noexcept {
  return false;
}

#endif

}  // namespace crc32c_paths

namespace {
// Before this is initialised, that is in constructors of other static objects, it is false, and the
// tables give the same answer: no order of initialisation is wrong.
const bool kHasInstruction = crc32c_paths::has_instruction();
}  // namespace

std::uint32_t crc32c(BytesView bytes, std::uint32_t seed) noexcept {
  return kHasInstruction ? crc32c_paths::by_instruction(bytes, seed)
                         : crc32c_paths::by_table(bytes, seed);
}

bool crc32c_is_accelerated() noexcept {
  return kHasInstruction;
}

}  // namespace semper
