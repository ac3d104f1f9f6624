#include "semper/store/uuid.h"

#include <gtest/gtest.h>

namespace semper {
namespace {

TEST(Uuid, text_and_bytes_read_back_the_same) {
  const auto uuid = Uuid::from_string("00112233-4455-6677-8899-aabbccddeeff").value();
  EXPECT_EQ(to_hex(uuid.bytes()), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(Uuid::from_string("00112233445566778899AABBCCDDEEFF").value(), uuid);
  EXPECT_EQ(Uuid::from_bytes(uuid.bytes()).value(), uuid);
}

TEST(Uuid, the_order_is_that_of_the_bytes) {
  const auto low = Uuid::from_string("7f000000-0000-0000-0000-0000000000ff").value();
  const auto high = Uuid::from_string("80000000-0000-0000-0000-000000000000").value();
  EXPECT_LT(low, high);
  EXPECT_LT(low.bytes(), high.bytes());
}

TEST(Uuid, any_other_length_is_refused) {
  for (const std::size_t length : {0U, 15U, 17U}) {
    const auto result = Uuid::from_bytes(Bytes(length, 'x'));
    ASSERT_FALSE(result) << length;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  }
}

TEST(Uuid, text_that_is_not_a_uuid_is_refused) {
  for (const char* text :
       {"", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233-4455-6677-8899aabbccddeeff", "0011223-34455-6677-8899-aabbccddeeff",
        "g0112233-4455-6677-8899-aabbccddeeff", "{00112233-4455-6677-8899-aabbccddeeff}"}) {
    const auto result = Uuid::from_string(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace semper
