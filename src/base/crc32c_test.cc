#include "semper/base/crc32c.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/crc32c_paths.h"

namespace semper {
namespace {

Bytes octets_from_to(int first, int last) {
  Bytes bytes;
  const int step = first <= last ? 1 : -1;
  for (int octet = first; octet != last + step; octet += step) {
    bytes.push_back(static_cast<char>(octet));
  }
  return bytes;
}

struct Vector {
  const char* name;
  Bytes bytes;
  std::uint32_t checksum;
};

// RFC 3720, appendix B.4, and the usual check value.
std::vector<Vector> published_vectors() {
  const Bytes read_command =
      bytes_of({0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
                0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
                0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00});
  return {{"32 zeros", Bytes(32, '\0'), 0x8a9136aa},
          {"32 ones", Bytes(32, '\xff'), 0x62a8ab43},
          {"ascending", octets_from_to(0, 31), 0x46dd794e},
          {"descending", octets_from_to(31, 0), 0x113fdb5c},
          {"iSCSI read command", read_command, 0xd9963a56},
          {"check value", "123456789", 0xe3069283},
          {"nothing", "", 0}};
}

Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size, '\0');
  for (char& octet : bytes) octet = static_cast<char>(random());
  return bytes;
}

TEST(Crc32cTest, checksums_are_those_of_the_published_vectors) {
  for (const Vector& vector : published_vectors()) {
    EXPECT_EQ(crc32c(vector.bytes), vector.checksum) << vector.name;
    EXPECT_EQ(crc32c_paths::by_table(vector.bytes, 0), vector.checksum) << vector.name << ", table";
  }
}

TEST(Crc32cTest, both_paths_agree_on_every_length_alignment_and_seed) {
  if (!crc32c_paths::has_instruction()) {
    GTEST_SKIP() << "this processor has no CRC32C instruction: only the table path exists here";
  }
  constexpr std::uint64_t kSeed = 20240611;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const Bytes bytes = random_bytes(random, 3 * 4096 + 64);
  const BytesView view(bytes);
  // Every length over all loop borders of both paths at changing alignments, then a few long ones.
  for (std::size_t length = 0; length < 4300; ++length) {
    const std::size_t start = length % 9;
    const auto seed = static_cast<std::uint32_t>(random());
    ASSERT_EQ(crc32c_paths::by_instruction(view.substr(start, length), seed),
              crc32c_paths::by_table(view.substr(start, length), seed))
        << length << " bytes from " << start << " with seed " << seed;
  }
  for (std::size_t length = 8100; length < 12300; length += 7) {
    ASSERT_EQ(crc32c_paths::by_instruction(view.substr(1, length), 0),
              crc32c_paths::by_table(view.substr(1, length), 0))
        << length;
  }
}

TEST(Crc32cTest, a_checksum_made_in_two_pieces_is_that_of_the_whole) {
  constexpr std::uint64_t kSeed = 7;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const Bytes bytes = random_bytes(random, 5000);
  const BytesView view(bytes);
  const std::uint32_t whole = crc32c(view);
  for (std::size_t cut = 0; cut <= view.size(); cut += 37) {
    ASSERT_EQ(crc32c(view.substr(cut), crc32c(view.substr(0, cut))), whole) << "cut at " << cut;
  }
}

TEST(Crc32cTest, one_flipped_bit_anywhere_changes_the_checksum) {
  Bytes bytes = octets_from_to(0, 99);
  const std::uint32_t before = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_NE(crc32c(bytes), before) << "bit " << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

}  // namespace
}  // namespace semper
