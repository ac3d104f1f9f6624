// What publishers and hosts say to each other, and what they do not take for that.
#include "server/format/relay_frames.h"

#include <gtest/gtest.h>

#include "semper/base/cbor.h"

namespace semper::internal {
namespace {

const MessageKey kSomeKey{"key", 1000, "print"};

Bytes segment_of(Event event, const ReplyToken& caller = {}, const MessageKey* key = nullptr) {
  SegmentWriter segment;
  segment.add(event, {"Add", "\x05"}, caller, nullptr, key);
  return segment.finish();
}

Bytes casts_of(Bytes segment) {
  RelayCastsWriter writer(7);
  writer.add(8, "page/home", std::move(segment));
  return writer.finish();
}

// A message of so many elements, each a number.
Bytes numbers(std::uint64_t elements, std::initializer_list<std::uint64_t> all) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(elements);
  for (const auto number : all) writer.unsigned_integer(number);
  return out;
}

TEST(RelayFrames, what_is_said_is_understood) {
  EXPECT_EQ(decode_relay_hello(encode_relay_hello("0123")).value(), "0123");
  const auto casts = decode_relay_casts(casts_of(segment_of(Event::cast))).value();
  EXPECT_EQ(casts.floor, 7u);
  ASSERT_EQ(casts.units.size(), 1u);
  EXPECT_EQ(casts.units[0].number, 8u);
  EXPECT_EQ(casts.units[0].id, "page/home");
  ASSERT_EQ(casts.units[0].messages.size(), 1u);
  EXPECT_EQ(casts.units[0].messages[0].name, "Add");
  const RelayAnswers answers = {{8, RelayAnswer::taken}, {9, RelayAnswer::declined}};
  EXPECT_EQ(decode_relay_answers(encode_relay_answers(answers)).value(), answers);
  const std::vector<std::uint64_t> taken = {8, 70'000};
  EXPECT_EQ(decode_relay_mark(encode_relay_mark(taken)).value(), taken);
  EXPECT_TRUE(is_relay_goodbye(encode_relay_goodbye()));
}

TEST(RelayFrames, one_kind_is_not_taken_for_another) {
  const Bytes all[] = {encode_relay_hello("0123"),
                       casts_of(segment_of(Event::cast)),
                       encode_relay_answers({}),
                       encode_relay_goodbye(),
                       Bytes(),
                       numbers(0, {})};
  for (const auto& said : all) {
    EXPECT_LE((decode_relay_hello(said) ? 1 : 0) + (decode_relay_casts(said) ? 1 : 0) +
                  (decode_relay_answers(said) ? 1 : 0) + (is_relay_goodbye(said) ? 1 : 0),
              1);
  }
}

TEST(RelayFrames, only_plain_casts_are_handed_over) {
  EXPECT_FALSE(decode_relay_casts(casts_of(segment_of(Event::call, {"session", 1}))));
  EXPECT_FALSE(decode_relay_casts(casts_of(segment_of(Event::cast, {}, &kSomeKey))));
  EXPECT_FALSE(decode_relay_casts(casts_of(SegmentWriter().finish())));
  EXPECT_FALSE(decode_relay_casts(casts_of("\xff")));
}

TEST(RelayFrames, a_hello_has_as_many_parts_as_it_says) {
  const Bytes good = encode_relay_hello("0123");
  Bytes fewer = good;
  fewer[0] = '\x80';
  Bytes more = good;
  more[0] = '\x84';
  EXPECT_FALSE(decode_relay_hello(fewer));
  EXPECT_FALSE(decode_relay_hello(more));
  EXPECT_FALSE(decode_relay_hello(good + "\x01"));
  Bytes other_format = good;
  other_format[2] = '\x02';
  EXPECT_FALSE(decode_relay_hello(other_format));
}

TEST(RelayFrames, no_more_units_come_in_one_message_than_may) {
  RelayCastsWriter writer(0);
  for (std::uint64_t i = 0; i <= kRelayUnitsPerMessage; ++i) {
    writer.add(i, "e", segment_of(Event::cast));
  }
  EXPECT_FALSE(decode_relay_casts(writer.finish()));
  EXPECT_FALSE(decode_relay_casts(numbers(1, {1, 7})));
}

TEST(RelayFrames, an_answer_that_is_none_is_refused) {
  Bytes wrong = encode_relay_answers({{8, RelayAnswer::declined}});
  wrong.back() = '\x02';
  EXPECT_FALSE(decode_relay_answers(wrong));
  EXPECT_FALSE(decode_relay_answers(numbers(2, {2, 8})));
  EXPECT_EQ(decode_relay_mark("\xff").error().kind(), ErrorKind::corrupt);
}

}  // namespace
}  // namespace semper::internal
