// codec.h with messages of the real protobuf library; the rules themselves are in codec_test.cc.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/hex_test_support.h"
#include "codec_protobuf_test.pb.h"
#include "semper/base/codec.h"

namespace semper {
namespace {

struct Envelope {
  int attempt = 0;
  codec_test::Order order;
};

TEST(CodecProtobufTest, a_message_is_taken_for_no_other_kind_of_type) {
  static_assert(internal::codec::IsProtobuf<codec_test::Order>);
  static_assert(!internal::codec::IsStandard<codec_test::Order>);
  static_assert(!internal::codec::HasJsonFunctions<codec_test::Order>);
}

TEST(CodecProtobufTest, a_message_comes_back_alone_and_inside_an_aggregate) {
  codec_test::Order order;
  order.set_item("tea");
  order.set_count(2);
  EXPECT_EQ(to_hex(encode(order)),
            "da53504231"
            "47"
            "0a03746561"
            "1002");
  const auto back = decode<codec_test::Order>(encode(order));
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(back->item(), "tea");
  EXPECT_EQ(back->count(), 2);
  Envelope envelope{3, order};
  const auto back_inside = decode<Envelope>(encode(envelope));
  ASSERT_TRUE(back_inside.has_value()) << back_inside.error().to_string();
  EXPECT_EQ(back_inside->order.item(), "tea");
}

TEST(CodecProtobufTest, an_unknown_field_survives_the_way_through_an_older_program) {
  codec_test::LaterOrder later;
  later.set_item("tea");
  later.set_note("fragile");
  const auto older = decode<codec_test::Order>(encode(later));
  ASSERT_TRUE(older.has_value()) << older.error().to_string();
  const auto back = decode<codec_test::LaterOrder>(encode(*older));
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(back->note(), "fragile");
  EXPECT_EQ(back->count(), 0);
}

TEST(CodecProtobufTest, a_damaged_message_is_refused) {
  const auto damaged =
      decode<codec_test::Order>(testing::from_hex("da53504231"
                                                  "42"
                                                  "0a7f"));
  ASSERT_FALSE(damaged.has_value());
  EXPECT_EQ(damaged.error().message(),
            "semper::codec_test::Order, in the item at byte 0: not a message of this type");
}

}  // namespace
}  // namespace semper
