#include "server/format/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "semper/base/cbor.h"
#include "semper/base/codec.h"
#include "semper/env/random.h"
#include "semper/testing/seed.h"
#include "server/format/message_trace.h"

namespace semper::internal {
namespace {

using ::testing::HasSubstr;

Header whole_header() {
  Header header;
  header.popped = 1'000'000;
  header.head_offset = 70'000;
  header.lock = LockRecord{0xffff'ffff'ffff'ffff, "host \xc3\xbc 7", -5};
  header.has_state = true;
  header.state = encode(std::string("the state"));
  return header;
}

QueuedMessage call_message() {
  return {Event::call, {"Add", encode(std::int64_t{5})}, {bytes_of({0, 0xff, 7}), 42}};
}

void add_to(SegmentWriter& writer, const QueuedMessage& message) {
  writer.add(message.event, message.content, message.caller);
}

void expect_same(const QueuedMessage& a, const QueuedMessage& b) {
  EXPECT_EQ(a.event, b.event);
  EXPECT_EQ(a.content.name, b.content.name);
  EXPECT_EQ(a.content.payload, b.content.payload);
  EXPECT_EQ(a.caller, b.caller);
}

TEST(Records, a_header_comes_back_as_it_was) {
  Header plain;
  Header large = whole_header();
  large.state.clear();
  large.chunks = 3;
  for (const Header& header : {plain, whole_header(), large}) {
    const auto back = Header::decode(header.encode());
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_FALSE(back->stamp.is_complete());
    EXPECT_EQ(back->popped, header.popped);
    EXPECT_EQ(back->head_offset, header.head_offset);
    EXPECT_EQ(back->lock, header.lock);
    EXPECT_EQ(back->has_state, header.has_state);
    EXPECT_EQ(back->chunks, header.chunks);
    EXPECT_EQ(back->state, header.state);
  }
}

TEST(Records, a_state_of_any_item_is_kept_in_the_header) {
  for (const Bytes& item : {Bytes("\xf6"), Bytes("\xf5"), Bytes("\xf7"), Bytes("\x00", 1),
                            Bytes("\x80"), encode(2.5), encode(std::vector<std::int64_t>{1, -1})}) {
    Header header;
    header.has_state = true;
    header.state = item;
    const auto back = Header::decode(header.encode());
    ASSERT_TRUE(back) << to_hex(item) << " " << back.error().to_string();
    EXPECT_TRUE(back->has_state) << to_hex(item);
    EXPECT_EQ(back->state, item);
  }
}

TEST(Records, the_headers_stamp_is_what_the_store_wrote_into_it) {
  const auto stamp = Versionstamp::complete(77, 3, 0);
  Bytes stored = whole_header().encode();
  stored.replace(0, Versionstamp::store_size, stamp.bytes().substr(0, Versionstamp::store_size));
  EXPECT_EQ(Header::decode(stored)->stamp, stamp);
}

TEST(Records, a_header_of_a_newer_format_is_unsupported_and_says_to_update) {
  Bytes newer = whole_header().encode();
  newer[Versionstamp::size + 1] = Header::kFormat + 1;
  const auto back = Header::decode(newer);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(back.error().message(), HasSubstr("newer version"));
}

// (stamp) [1, popped, head offset, null, chunks], and a state where there is one.
Bytes header_of(std::uint64_t head_offset, std::uint64_t chunks, BytesView state) {
  Bytes row(Versionstamp::incomplete(0).bytes());
  cbor::Writer writer(row);
  writer.array(state.empty() ? 5 : 6);
  writer.unsigned_integer(1);
  writer.unsigned_integer(3);
  writer.unsigned_integer(head_offset);
  writer.null();
  writer.unsigned_integer(chunks);
  writer.raw(state);
  return row;
}

TEST(Records, a_header_whose_numbers_do_not_fit_is_corrupt) {
  const std::uint64_t much = (std::uint64_t{1} << 32) + 2;
  EXPECT_TRUE(Header::decode(header_of(2, 3, "")));
  EXPECT_TRUE(Header::decode(header_of(2, 0, "\x01")));
  Bytes of_no_format = header_of(2, 3, "");
  of_no_format[Versionstamp::size + 1] = 0;
  for (const Bytes& row :
       {header_of(much, 0, ""), header_of(2, much, ""), header_of(2, 3, "\x01"), of_no_format}) {
    const auto back = Header::decode(row);
    ASSERT_FALSE(back) << to_hex(row);
    EXPECT_EQ(back.error().kind(), ErrorKind::corrupt);
  }
}

TEST(Records, a_segments_messages_come_back_in_order) {
  const QueuedMessage cast{Event::cast, {"Set", Bytes("\x00\xff", 2)}, {}};
  SegmentWriter writer;
  EXPECT_EQ(writer.count(), 0u);
  add_to(writer, call_message());
  add_to(writer, cast);
  add_to(writer, call_message());
  EXPECT_EQ(writer.count(), 3u);
  EXPECT_GT(writer.size_bytes(), 0u);
  const Bytes bytes = writer.finish();
  EXPECT_EQ(writer.count(), 0u) << "ready for the next segment";
  EXPECT_EQ(writer.size_bytes(), 0u);
  const auto back = decode_segment(bytes);
  ASSERT_TRUE(back) << back.error().to_string();
  ASSERT_EQ(back->size(), 3u);
  expect_same((*back)[0], call_message());
  expect_same((*back)[1], cast);
  expect_same((*back)[2], call_message());
}

TEST(Records, a_reply_and_an_error_reply_come_back_as_they_were) {
  const Bytes payload = encode(std::string("yes"));
  EXPECT_EQ(**decode_reply(encode_reply(payload)), payload);
  EXPECT_EQ(**decode_reply(encode_reply("")), "");
  for (int kind = 1; kind <= static_cast<int>(ErrorKind::internal); ++kind) {
    const Error error(static_cast<ErrorKind>(kind), "why \xc3\xbc");
    const auto back = decode_reply(encode_reply_error(error));
    ASSERT_TRUE(back);
    ASSERT_FALSE(*back);
    EXPECT_EQ(back->error(), error);
  }
  const auto odd = decode_reply(encode_reply_error(Error(ErrorKind::io, "not \xff text")));
  EXPECT_THAT(odd->error().message(), HasSubstr("\\xff"));
}

TEST(Records, a_dead_letter_comes_back_as_it_was) {
  const DeadLetterRecord letter{call_message(), "it threw \xff", 1'234'567'890'123};
  const auto back = decode_dead_letter(encode_dead_letter(letter));
  ASSERT_TRUE(back) << back.error().to_string();
  expect_same(back->message, letter.message);
  EXPECT_EQ(back->time_ms, letter.time_ms);
  EXPECT_THAT(back->reason, HasSubstr("it threw"));
}

TEST(Records, a_registration_without_a_lease_is_what_0_1_0_wrote_and_reads) {
  const AliveRecord old{"h", 1, 0, {"T"}};
  const Bytes row = encode_alive(old);
  EXPECT_EQ(to_hex(row), "8461680100816154");
  const auto back = decode_alive(row);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->lease_ms, 0u);
}

TEST(Records, a_registration_comes_back_as_it_was) {
  const AliveRecord host{"a host", 9, -1, {"Counter", "Diary"}, 3000};
  const auto back = decode_alive(encode_alive(host));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->name, host.name);
  EXPECT_EQ(back->renewals, host.renewals);
  EXPECT_EQ(back->renewed_ms, host.renewed_ms);
  EXPECT_EQ(back->types, host.types);
  EXPECT_EQ(back->lease_ms, host.lease_ms);
  const std::vector<MessageInfo> infos = {{"Add", true, true, false, false},
                                          {"Read", true, false, true, true}};
  const auto messages = decode_message_infos(encode_message_infos(infos));
  ASSERT_TRUE(messages) << messages.error().to_string();
  ASSERT_EQ(messages->size(), 2u);
  EXPECT_EQ((*messages)[1].name, "Read");
  EXPECT_TRUE((*messages)[0].cast);
  EXPECT_FALSE((*messages)[1].cast);
  EXPECT_TRUE((*messages)[1].locked);
  EXPECT_FALSE((*messages)[0].fields);
  EXPECT_TRUE(decode_message_infos(encode_message_infos({}))->empty());
}

TEST(Records, a_registration_tells_fields_and_an_example_and_one_of_0_1_0_is_read_without) {
  std::vector<MessageInfo> infos = {{"Add", true, true, false, false}};
  infos[0].fields = {"by", "note"};
  infos[0].example = Bytes("\x82\x01\x60");
  const Bytes written = encode_message_infos(infos);
  const auto back = decode_message_infos(written);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ((*back)[0].fields, infos[0].fields);
  EXPECT_EQ((*back)[0].example, infos[0].example);
  const auto old = decode_message_infos(
      "\x81\x85\x63"
      "Add\xf5\xf4\xf4\xf4");
  ASSERT_TRUE(old) << old.error().to_string();
  EXPECT_EQ((*old)[0].name, "Add");
  EXPECT_FALSE((*old)[0].fields);
  const auto newer = decode_message_infos(
      "\x81\x88\x63"
      "Add\xf5\xf4\xf4\xf4\xf6\x40\x82\x01\x02");
  EXPECT_TRUE(newer) << newer.error().to_string();
  EXPECT_FALSE(
      decode_message_infos("\x81\x84\x63"
                           "Add\xf5\xf4\xf4"));
}

TEST(Records, a_counter_counts_what_is_short_or_absent_as_the_store_does) {
  EXPECT_EQ(counter_value(std::nullopt), 0u);
  EXPECT_EQ(counter_value(Bytes()), 0u);
  EXPECT_EQ(counter_value(Bytes("\x05")), 5u);
  EXPECT_EQ(counter_value(Bytes("\x01\x01\x00\x00\x00\x00\x00\x00", 8)), 257u);
  EXPECT_EQ(counter_value(Bytes("\x01\x00\x00\x00\x00\x00\x00\x00\x09", 9)), 1u);
}

// Each kind of record: its bytes, and whether other bytes decode.
struct Kept {
  const char* name;
  Bytes bytes;
  std::function<Status(BytesView)> decode;
};

template <class T>
Status status_of(const Result<T>& result) {
  if (result) return {};
  return fail(result.error());
}

std::vector<Kept> kinds() {
  SegmentWriter writer;
  add_to(writer, call_message());
  add_to(writer, {Event::cast, {"Set", "payload"}, {}});
  std::vector<Kept> all;
  all.push_back({"header", whole_header().encode(),
                 [](BytesView bytes) { return status_of(Header::decode(bytes)); }});
  all.push_back({"segment", writer.finish(),
                 [](BytesView bytes) { return status_of(decode_segment(bytes)); }});
  all.push_back({"reply", encode_reply("payload"),
                 [](BytesView bytes) { return status_of(decode_reply(bytes)); }});
  all.push_back({"error reply", encode_reply_error(Error(ErrorKind::io, "why")),
                 [](BytesView bytes) { return status_of(decode_reply(bytes)); }});
  all.push_back({"dead letter", encode_dead_letter({call_message(), "why", 5}),
                 [](BytesView bytes) { return status_of(decode_dead_letter(bytes)); }});
  all.push_back({"registration", encode_alive({"host", 5, 6, {"Counter"}}),
                 [](BytesView bytes) { return status_of(decode_alive(bytes)); }});
  all.push_back({"type", encode_message_infos({{"Add", true, true, false, false}}),
                 [](BytesView bytes) { return status_of(decode_message_infos(bytes)); }});
  return all;
}

TEST(Records, a_record_that_is_cut_anywhere_or_too_long_is_corrupt) {
  for (const auto& kept : kinds()) {
    ASSERT_TRUE(kept.decode(kept.bytes)) << kept.name;
    for (std::size_t length = 0; length < kept.bytes.size(); ++length) {
      const auto status = kept.decode(BytesView(kept.bytes).substr(0, length));
      ASSERT_FALSE(status) << kept.name << " cut to " << length;
      EXPECT_EQ(status.error().kind(), ErrorKind::corrupt) << kept.name;
    }
    const auto status = kept.decode(kept.bytes + '\x00');
    ASSERT_FALSE(status) << kept.name << " with a byte too many";
    EXPECT_EQ(status.error().kind(), ErrorKind::corrupt) << kept.name;
  }
}

TEST(Records, a_record_with_the_wrong_number_of_elements_for_its_kind_is_corrupt) {
  for (const auto& kept : kinds()) {
    const std::size_t head = std::string(kept.name) == "header" ? Versionstamp::size : 0;
    for (const int change : {-1, 1}) {
      Bytes other = kept.bytes;
      other[head] = static_cast<char>(other[head] + change);
      const auto status = kept.decode(other);
      EXPECT_FALSE(status) << kept.name << (change > 0 ? " announces more" : " announces fewer");
      if (!status) {
        EXPECT_EQ(status.error().kind(), ErrorKind::corrupt) << kept.name;
      }
    }
  }
}

TEST(Records, damaged_bytes_are_an_error_or_another_record_and_never_more) {
  SeededRandom random(testing::test_seed());
  for (const auto& kept : kinds()) {
    for (int round = 0; round < 2'000; ++round) {
      Bytes damaged = kept.bytes;
      const auto changes = 1 + random.below(4);
      for (std::uint64_t i = 0; i < changes; ++i) {
        damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
      }
      const auto status = kept.decode(damaged);
      if (!status) {
        EXPECT_TRUE(status.error().kind() == ErrorKind::corrupt ||
                    status.error().kind() == ErrorKind::unsupported)
            << kept.name << " " << to_hex(damaged) << " " << status.error().to_string();
      }
    }
    for (int round = 0; round < 500; ++round) {
      static_cast<void>(kept.decode(random.bytes(random.below(40))));
    }
  }
}

TEST(Records, a_length_that_the_bytes_cannot_hold_takes_no_memory) {
  // An array of 2^60 messages, hosts or types.
  const Bytes huge = bytes_of({0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(decode_segment(huge).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(decode_message_infos(huge).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(decode_alive(bytes_of({0x84, 0x61, 'h', 1, 1}) + huge).error().kind(),
            ErrorKind::corrupt);
}

TEST(Records, a_call_of_a_callback_says_who_waits_for_it) {
  CallChain chain;
  chain.links.push_back({"tenant", {"Bank", "a"}, false});
  chain.links.push_back({"", {"Bank", "b"}, true});
  const MessageKey key{"request", 1000, Bytes(16, 'f')};
  const ReplyToken caller{"12345678", 7};
  const RawMessage message{"Move", Bytes(1, '\xf6')};
  SegmentWriter writer;
  writer.add(Event::call, message, caller, nullptr, nullptr, &chain);
  writer.add(Event::call, message, caller, nullptr, &key, &chain);
  writer.add(Event::call, message, caller);
  EXPECT_LE(writer.size_bytes(), 2 * chain.size_bytes() + 200);
  const auto read = decode_segment(writer.finish());
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->size(), 3u);
  for (const auto& one : *read) {
    EXPECT_EQ(one.event, Event::call);
    EXPECT_EQ(one.caller, caller);
    EXPECT_EQ(one.content.name, "Move");
  }
  ASSERT_TRUE((*read)[0].chain && (*read)[1].chain && (*read)[1].key);
  EXPECT_EQ(*(*read)[0].chain, chain);
  EXPECT_EQ(*(*read)[1].chain, chain);
  EXPECT_EQ(*(*read)[1].key, key);
  EXPECT_FALSE((*read)[0].key);
  EXPECT_FALSE((*read)[2].chain);
}

TracePointer a_trace() {
  MessageTrace trace;
  trace.context =
      *TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1");
  trace.sent_us = 1'700'000'000'000'000;
  return std::make_shared<const MessageTrace>(trace);
}

TEST(Records, messages_of_any_kind_have_a_trace_and_those_without_are_as_before) {
  const MessageKey key{"request", 1000, Bytes(16, 'f')};
  const ReplyToken caller{"12345678", 7};
  CallChain chain;
  chain.links.push_back({"tenant", {"Bank", "a"}, false});
  TickRecord tick;
  tick.timer = "t";
  const RawMessage plain{"Move", Bytes(1, '\xf6')};
  RawMessage traced = plain;
  traced.trace = a_trace();
  const auto add_all = [&](SegmentWriter& writer, const RawMessage& message) {
    writer.add(Event::cast, message, {});
    writer.add(Event::call, message, caller);
    writer.add(Event::cast, message, {}, &tick);
    writer.add(Event::cast, message, {}, nullptr, &key);
    writer.add(Event::call, message, caller, nullptr, &key, &chain);
    writer.add(Event::cast, message, {}, &tick, &key);
  };
  SegmentWriter without;
  add_all(without, plain);
  SegmentWriter with;
  add_all(with, traced);
  EXPECT_LE(with.size_bytes(), without.size_bytes() + 6 * queued_size(traced.trace.get()));
  const auto plain_read = decode_segment(without.finish());
  const auto read = decode_segment(with.finish());
  ASSERT_TRUE(read && plain_read) << read.error().to_string();
  ASSERT_EQ(read->size(), 6u);
  ASSERT_TRUE(read->back().tick && read->back().key);
  EXPECT_EQ(read->back().tick->timer, "t");
  EXPECT_EQ(*read->back().key, key);
  for (std::size_t i = 0; i < read->size(); ++i) {
    const QueuedMessage& one = (*read)[i];
    ASSERT_TRUE(one.content.trace);
    EXPECT_EQ(*one.content.trace, *traced.trace);
    EXPECT_FALSE((*plain_read)[i].content.trace);
    EXPECT_EQ(one.content.name, "Move");
    EXPECT_EQ(one.event, (*plain_read)[i].event);
    EXPECT_EQ(one.caller, (*plain_read)[i].caller);
    EXPECT_EQ(one.tick != nullptr, (*plain_read)[i].tick != nullptr);
    EXPECT_EQ(one.key != nullptr, (*plain_read)[i].key != nullptr);
    EXPECT_EQ(one.chain != nullptr, (*plain_read)[i].chain != nullptr);
  }
}

TEST(Records, the_tick_of_a_delayed_cast_with_a_key_that_is_cut_off_is_corrupt) {
  const MessageKey key{"request", 1000, Bytes(16, 'f')};
  TickRecord tick;
  tick.timer = "t";
  SegmentWriter writer;
  writer.add(Event::cast, {"Move", Bytes(1, '\xf6')}, {}, &tick, &key);
  const Bytes whole = writer.finish();
  EXPECT_EQ(whole[2], 8) << "a kind that older programs leave alone";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(decode_segment(BytesView(whole).substr(0, size)).error().kind(), ErrorKind::corrupt);
  }
}

TEST(Records, a_trace_that_is_not_as_it_was_written_is_corrupt) {
  RawMessage message{"Move", Bytes(1, '\xf6')};
  message.trace = a_trace();
  SegmentWriter writer;
  writer.add(Event::cast, message, {});
  const Bytes whole = writer.finish();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(decode_segment(BytesView(whole).substr(0, size)).error().kind(), ErrorKind::corrupt);
  }
  // [[7, trace, [7, trace, ...]]]
  Bytes nested;
  cbor::Writer out(nested);
  out.array(1);
  for (int i = 0; i < 2; ++i) {
    out.array(3);
    out.unsigned_integer(7);
    write_trace(out, *message.trace);
  }
  out.null();
  EXPECT_EQ(decode_segment(nested).error().kind(), ErrorKind::corrupt);
}

// What a later version adds to a trace is passed over.
TEST(Records, a_trace_of_a_later_version_is_read) {
  Bytes bytes;
  cbor::Writer out(bytes);
  out.array(4);
  out.bytes(Bytes(25, '\x01'));
  out.integer(5);
  out.text("a=1");
  out.text("more");
  cbor::Reader reader(bytes);
  TracePointer trace;
  ASSERT_TRUE(read_trace(reader, trace) && reader.finish());
  EXPECT_EQ(trace->sent_us, 5);
  EXPECT_EQ(trace->context.state, "a=1");
}

TEST(Records, a_chain_that_is_cut_off_is_corrupt) {
  CallChain chain;
  chain.links.push_back({"tenant", {"Bank", "a"}, false});
  SegmentWriter writer;
  writer.add(Event::call, {"Move", Bytes(1, '\xf6')}, {"12345678", 7}, nullptr, nullptr, &chain);
  const Bytes whole = writer.finish();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto read = decode_segment(BytesView(whole).substr(0, size));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind(), ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace semper::internal
