#include "semper/store/versionstamp.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <unordered_set>

namespace semper {
namespace {

TEST(Versionstamp, the_layout_is_version_then_batch_then_user_big_endian) {
  const auto stamp = Versionstamp::complete(0x0102030405060708U, 0x090a, 0x0b0c);
  EXPECT_EQ(to_hex(stamp.bytes()), "0102030405060708090a0b0c");
  EXPECT_EQ(stamp.version(), 0x0102030405060708U);
  EXPECT_EQ(stamp.batch(), 0x090a);
  EXPECT_EQ(stamp.user(), 0x0b0c);
  EXPECT_TRUE(stamp.is_complete());
}

TEST(Versionstamp, an_incomplete_one_is_ten_all_ones_bytes_and_the_user_version) {
  const auto stamp = Versionstamp::incomplete(0x0102);
  EXPECT_EQ(to_hex(stamp.bytes()), "ffffffffffffffffffff0102");
  EXPECT_FALSE(stamp.is_complete());
  EXPECT_EQ(Versionstamp(), Versionstamp::incomplete(0));
}

TEST(Versionstamp, one_byte_that_is_not_all_ones_is_enough_to_be_complete) {
  EXPECT_TRUE(Versionstamp::complete(std::numeric_limits<std::uint64_t>::max(), 0xfffe, 0xffff)
                  .is_complete());
  EXPECT_TRUE(Versionstamp::complete(std::numeric_limits<std::uint64_t>::max() - 1, 0xffff, 0)
                  .is_complete());
}

TEST(VersionstampDeathTest, completing_with_all_ones_is_a_bug_in_the_caller) {
  EXPECT_DEATH(Versionstamp::complete(std::numeric_limits<std::uint64_t>::max(), 0xffff, 0),
               "not complete");
}

TEST(Versionstamp, the_order_of_stamps_is_that_of_their_bytes) {
  constexpr unsigned seed = 1789;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto draw = [&random] {
    return Versionstamp::complete(random() % 3 == 0 ? random() >> 1 : random() % 4,
                                  static_cast<std::uint16_t>(random() % 3),
                                  static_cast<std::uint16_t>(random() % 3));
  };
  for (int i = 0; i < 5000; ++i) {
    const auto a = draw();
    const auto b = draw();
    EXPECT_EQ(a < b, a.bytes() < b.bytes()) << a.to_string() << " " << b.to_string();
    EXPECT_EQ(a == b, a.bytes() == b.bytes());
    EXPECT_EQ(a < b, std::make_tuple(a.version(), a.batch(), a.user()) <
                         std::make_tuple(b.version(), b.batch(), b.user()));
    EXPECT_LT(a, Versionstamp::incomplete(0));
  }
}

TEST(Versionstamp, bytes_and_text_read_back_the_same) {
  for (const auto& stamp : {Versionstamp::complete(0, 0, 0), Versionstamp::complete(12, 0, 7),
                            Versionstamp::complete(0xfedcba9876543210U, 0x89ab, 0xcdef),
                            Versionstamp::incomplete(0xffff)}) {
    EXPECT_EQ(Versionstamp::from_bytes(stamp.bytes()).value(), stamp);
    EXPECT_EQ(Versionstamp::from_string(stamp.to_string()).value(), stamp);
    EXPECT_EQ(Versionstamp::from_string(to_hex(stamp.bytes())).value(), stamp);
  }
  EXPECT_EQ(Versionstamp::complete(12, 0, 7).to_string(), "000000000000000c-0000-0007");
  EXPECT_EQ(Versionstamp::from_string("00000000000000AB-CD00-0007").value(),
            Versionstamp::complete(0xab, 0xcd00, 7));
}

TEST(Versionstamp, any_other_length_than_twelve_bytes_is_refused) {
  for (std::size_t length : {0U, 1U, 10U, 11U, 13U, 24U}) {
    const auto result = Versionstamp::from_bytes(Bytes(length, '\x01'));
    ASSERT_FALSE(result) << length;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(result.error().message().find(std::to_string(length)), std::string::npos);
  }
}

TEST(Versionstamp, text_that_is_not_a_stamp_is_refused) {
  for (const char* text :
       {"", "0", "000000000000000c-0000", "000000000000000c-0000-000", "000000000000000c-00000007",
        "000000000000000c0000-0007", "000000000000000c-0000-00071", "000000000000000g-0000-0007",
        "-000000000000000c00000007", "000000000000000c--000000007", "000000000000000c-0000-0007-",
        " 000000000000000c-0000-0007"}) {
    const auto result = Versionstamp::from_string(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  }
}

TEST(Versionstamp, equal_stamps_are_one_in_a_set_and_others_are_told_apart) {
  std::unordered_set<Versionstamp> seen;
  for (std::uint16_t user = 0; user < 1000; ++user) {
    seen.insert(Versionstamp::complete(5, 0, user));
    seen.insert(Versionstamp::complete(5, 0, user));
  }
  EXPECT_EQ(seen.size(), 1000U);
}

}  // namespace
}  // namespace semper
