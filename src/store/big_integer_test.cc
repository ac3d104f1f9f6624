#include "semper/store/big_integer.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

namespace semper {
namespace {

BigInteger number(std::string_view decimal) {
  return BigInteger::from_string(decimal).value();
}

TEST(BigInteger, machine_integers_keep_their_value_at_every_edge) {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{255}, std::int64_t{-256},
        std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    EXPECT_EQ(BigInteger(value).to_int64(), value);
    EXPECT_EQ(BigInteger(value).to_string(), std::to_string(value));
  }
  const auto largest = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(BigInteger(largest).to_uint64(), largest);
  EXPECT_EQ(BigInteger(largest).to_int64(), std::nullopt);
  EXPECT_EQ(BigInteger(-1).to_uint64(), std::nullopt);
}

TEST(BigInteger, numbers_just_past_sixty_four_bits_do_not_wrap_into_them) {
  EXPECT_EQ(number("9223372036854775808").to_int64(), std::nullopt);
  EXPECT_EQ(number("-9223372036854775808").to_int64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(number("-9223372036854775809").to_int64(), std::nullopt);
  EXPECT_EQ(number("18446744073709551615").to_uint64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(number("18446744073709551616").to_uint64(), std::nullopt);
  EXPECT_EQ(to_hex(number("18446744073709551616").magnitude()), "010000000000000000");
}

TEST(BigInteger, there_is_one_zero) {
  EXPECT_EQ(number("-0"), BigInteger());
  EXPECT_EQ(number("000"), BigInteger(0));
  EXPECT_EQ(BigInteger::from_magnitude(Sign::negative, BytesView("\0\0", 2)).value(), BigInteger());
  EXPECT_EQ(BigInteger().to_string(), "0");
  EXPECT_TRUE(BigInteger().magnitude().empty());
}

TEST(BigInteger, leading_zero_bytes_do_not_make_another_number) {
  EXPECT_EQ(BigInteger::from_magnitude(Sign::positive, BytesView("\0\0\x07", 3)).value(),
            BigInteger(7));
  const Bytes padded = Bytes(300, '\0') + Bytes(255, '\xff');
  EXPECT_EQ(BigInteger::from_magnitude(Sign::positive, padded).value().magnitude().size(), 255U);
}

TEST(BigInteger, a_256th_byte_is_refused_as_bytes_and_as_text) {
  const auto largest = BigInteger::from_magnitude(Sign::negative, Bytes(255, '\xff')).value();
  EXPECT_EQ(BigInteger::from_string(largest.to_string()).value(), largest);

  const auto bytes = BigInteger::from_magnitude(Sign::positive, "\x01" + Bytes(255, '\0'));
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind(), ErrorKind::invalid_argument);
  std::string text = largest.to_string();
  ASSERT_NE(text.back(), '9');
  ++text.back();
  EXPECT_FALSE(BigInteger::from_string(text));
  EXPECT_FALSE(BigInteger::from_string(std::string(5000, '9')));
  EXPECT_EQ(BigInteger::from_string(std::string(5000, '0') + "5").value(), BigInteger(5));
}

TEST(BigInteger, text_that_is_not_an_integer_is_refused) {
  for (const char* text : {"", "-", "+1", "1.0", "0x10", " 1", "1 ", "--1", "1e3"}) {
    const auto result = BigInteger::from_string(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  }
}

TEST(BigInteger, random_magnitudes_survive_decimal_text) {
  constexpr unsigned seed = 20240501;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 300; ++i) {
    Bytes magnitude;
    for (std::size_t left = random() % 256; left > 0; --left) {
      magnitude.push_back(random() % 4 == 0 ? '\0' : static_cast<char>(random()));
    }
    const Sign sign = random() % 2 == 0 ? Sign::positive : Sign::negative;
    const auto value = BigInteger::from_magnitude(sign, magnitude).value();
    EXPECT_EQ(BigInteger::from_string(value.to_string()).value(), value) << value.to_string();
  }
}

TEST(BigInteger, the_order_is_numeric_across_signs_and_lengths) {
  const BigInteger ascending[] = {number("-18446744073709551617"),
                                  number("-18446744073709551616"),
                                  number("-256"),
                                  number("-255"),
                                  number("-1"),
                                  number("0"),
                                  number("1"),
                                  number("255"),
                                  number("256"),
                                  number("18446744073709551615"),
                                  number("18446744073709551616")};
  for (std::size_t i = 0; i < std::size(ascending); ++i) {
    for (std::size_t j = 0; j < std::size(ascending); ++j) {
      EXPECT_EQ(ascending[i] <=> ascending[j], i <=> j) << i << " " << j;
    }
  }
}

}  // namespace
}  // namespace semper
