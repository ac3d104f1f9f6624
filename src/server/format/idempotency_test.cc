#include "server/format/idempotency.h"

#include <gtest/gtest.h>

namespace semper::internal {
namespace {

KeyRecord record() {
  KeyRecord record;
  record.stamp = Versionstamp::complete(7, 0, 3);
  record.state = KeyRecord::State::waiting;
  record.fingerprint = Bytes(kFingerprintBytes, 'f');
  record.retention_ms = 1'000;
  record.expires_ms = 5'000;
  record.run = 42;
  record.reply = encode_reply("reply");
  record.callers = {{"12345678", 9}, {"abcdefgh", 10}};
  return record;
}

TEST(Idempotency, a_record_is_read_as_it_was_written) {
  const auto back = KeyRecord::decode(record().encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->stamp, record().stamp);
  EXPECT_EQ(back->state, record().state);
  EXPECT_EQ(back->fingerprint, record().fingerprint);
  EXPECT_EQ(back->retention_ms, 1'000);
  EXPECT_EQ(back->expires_ms, 5'000);
  EXPECT_EQ(back->run, 42u);
  EXPECT_EQ(back->reply, record().reply);
  EXPECT_EQ(back->callers, record().callers);
}

TEST(Idempotency, a_record_that_is_cut_or_of_a_newer_format_is_refused) {
  const Bytes whole = record().encode();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto cut = KeyRecord::decode(whole.substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().kind(), ErrorKind::corrupt) << size;
  }
  Bytes newer = whole;
  newer[Versionstamp::size + 1] = 2;  // behind the head of the array
  EXPECT_EQ(KeyRecord::decode(newer).error().kind(), ErrorKind::unsupported);
  Bytes longer = whole;
  longer[Versionstamp::size] = static_cast<char>(0x8a);  // an array of ten
  longer.push_back('\x05');
  EXPECT_TRUE(KeyRecord::decode(longer)) << "elements of a later version are passed over";
}

TEST(Idempotency, messages_that_differ_have_different_fingerprints) {
  const IdempotencyKey key{"k"};
  const auto fingerprint = [&](Event event, const RawMessage& message) {
    const auto made = message_key(key, event, message);
    return made ? (*made)->fingerprint : Bytes();
  };
  const Bytes one = fingerprint(Event::call, {"M", Bytes("\x01")});
  EXPECT_EQ(one.size(), kFingerprintBytes);
  EXPECT_EQ(one, fingerprint(Event::call, {"M", Bytes("\x01")}));
  EXPECT_NE(one, fingerprint(Event::cast, {"M", Bytes("\x01")}));
  EXPECT_NE(one, fingerprint(Event::call, {"M", Bytes("\x02")}));
  EXPECT_NE(one, fingerprint(Event::call, {"M", Bytes("\x01\x01")}));
  EXPECT_NE(fingerprint(Event::call, {"M", Bytes("\x01\x02")}),
            fingerprint(Event::call, {"M", Bytes("\x02\x01")}));
}

// FNV-1a of 128 bits over the byte of the event and the payload, lowest byte first
// (docs/formats.md).
TEST(Idempotency, the_fingerprint_is_the_documented_function) {
  const auto made = message_key(IdempotencyKey{"k"}, Event::cast, {"M", Bytes()});
  ASSERT_TRUE(made);
  EXPECT_EQ(to_hex((*made)->fingerprint), "44134a4e702b9178af8c1a0f69cb28d2");
}

TEST(Idempotency, a_token_of_a_key_is_told_from_that_of_a_session) {
  const KeyAddress address{{"Type", "id"}, "Message", "key"};
  const ReplyToken token = key_token(address, 17);
  EXPECT_TRUE(is_key_token(token));
  EXPECT_EQ(token.number, 17u);
  const auto back = address_in(token);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, address);
  EXPECT_FALSE(is_key_token({"kkkkkkkk", 1})) << "a session of eight bytes";
  EXPECT_FALSE(is_key_token({}));
  ReplyToken cut = token;
  cut.session.pop_back();
  EXPECT_FALSE(address_in(cut));
  const KeyAddress smallest{{"T", "i"}, "M", "k"};
  EXPECT_TRUE(is_key_token(key_token(smallest, 0)));
}

TEST(Idempotency, a_keyed_message_on_the_queue_is_read_as_it_was_written) {
  const MessageKey key{"k", 1'000, Bytes(kFingerprintBytes, 'f')};
  const RawMessage message{"M", Bytes("\x01")};
  const ReplyToken caller{"12345678", 5};
  SegmentWriter writer;
  writer.add(Event::call, message, caller, nullptr, &key);
  writer.add(Event::cast, message, {}, nullptr, &key);
  writer.add(Event::call, message, caller);
  const auto messages = decode_segment(writer.finish());
  ASSERT_TRUE(messages);
  ASSERT_EQ(messages->size(), 3u);
  EXPECT_EQ((*messages)[0].event, Event::call);
  EXPECT_EQ((*messages)[0].caller, caller);
  ASSERT_TRUE((*messages)[0].key);
  EXPECT_EQ(*(*messages)[0].key, key);
  EXPECT_EQ((*messages)[1].event, Event::cast);
  ASSERT_TRUE((*messages)[1].key);
  EXPECT_EQ(*(*messages)[1].key, key);
  EXPECT_FALSE((*messages)[2].key);
}

}  // namespace
}  // namespace semper::internal
