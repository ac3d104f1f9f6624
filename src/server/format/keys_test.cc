#include "server/format/keys.h"

#include <gtest/gtest.h>

#include <set>

#include "semper/store/tuple.h"
#include "semper/store/tuple_stream.h"

namespace semper::internal {
namespace {

const Bytes kPrefix = Bytes("\x02s\x00", 3);

EntityId entity(std::string id) {
  return {"Counter", std::move(id)};
}

// Every key of one entity that lies with it.
std::vector<Bytes> keys_beside(const EntityKeys& keys) {
  const auto stamp = Versionstamp::complete(7, 1, 2);
  return {keys.header(),
          keys.pushed(),
          keys.queue_segment(0),
          keys.queue_segment_at(stamp),
          keys.chunk(0),
          keys.chunk(1'000'000),
          keys.lock_renewal(),
          keys.dead_letter(3),
          keys.dead_letter_at(stamp),
          keys.parked()};
}

TEST(Keys, all_of_one_entity_lies_together_and_within_its_range_and_type) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  for (const Bytes& key : keys_beside(keys)) {
    EXPECT_TRUE(keys.everything().contains(key)) << to_printable(key);
    EXPECT_TRUE(entities_of_type(kPrefix, "Counter").contains(key)) << to_printable(key);
    EXPECT_TRUE(all_entities(kPrefix).contains(key)) << to_printable(key);
    EXPECT_FALSE(entities_of_type(kPrefix, "Count").contains(key)) << to_printable(key);
    const auto back = entity_of_key(kPrefix, key);
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_EQ(*back, id);
  }
  EXPECT_FALSE(keys.everything().contains(keys.index()));
  EXPECT_FALSE(keys.everything().contains(keys.wake()));
}

TEST(Keys, no_entity_reaches_into_another_whose_id_is_longer_or_has_zero_like_bytes) {
  const std::vector<std::string> ids = {"a", "a ", "aa", "a/b", "a\x01", "b", "\xc3\xbf"};
  for (const auto& mine : ids) {
    const EntityId my_id = entity(mine);
    const EntityKeys my_keys(kPrefix, my_id);
    for (const auto& other : ids) {
      if (mine == other) continue;
      const EntityId other_id = entity(other);
      for (const Bytes& key : keys_beside(EntityKeys(kPrefix, other_id))) {
        EXPECT_FALSE(my_keys.everything().contains(key)) << mine << " holds a key of " << other;
      }
    }
  }
}

TEST(Keys, the_parts_of_an_entity_do_not_overlap) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  const auto stamp = Versionstamp::complete(1, 2, 3);
  EXPECT_TRUE(keys.queue().contains(keys.queue_segment_at(stamp)));
  EXPECT_TRUE(keys.queue().contains(keys.queue_segment(65'535)));
  EXPECT_TRUE(keys.chunks().contains(keys.chunk(0)));
  EXPECT_TRUE(keys.chunks().contains(keys.chunk(~std::uint32_t{0})));
  EXPECT_TRUE(keys.dead_letters().contains(keys.dead_letter_at(stamp)));
  const auto all = keys_beside(keys);
  EXPECT_EQ(std::set<Bytes>(all.begin(), all.end()).size(), all.size());
  for (const KeyRange& range : {keys.queue(), keys.chunks(), keys.dead_letters()}) {
    EXPECT_FALSE(range.contains(keys.header()));
    EXPECT_FALSE(range.contains(keys.pushed()));
    EXPECT_FALSE(range.contains(keys.lock_renewal()));
    EXPECT_FALSE(range.contains(keys.parked()));
  }
  EXPECT_FALSE(keys.queue().overlaps(keys.chunks()));
  EXPECT_FALSE(keys.queue().overlaps(keys.dead_letters()));
  EXPECT_FALSE(keys.chunks().overlaps(keys.dead_letters()));
  // One read takes header, pushed count and queue.
  EXPECT_LT(keys.header(), keys.pushed());
  EXPECT_LT(keys.pushed(), keys.queue().begin);
  EXPECT_LT(keys.queue().end, keys.chunk(0));
}

TEST(Keys, queue_segments_are_in_the_order_of_commits_and_of_their_making) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  EXPECT_LT(keys.queue_segment_at(Versionstamp::complete(1, 0, 9)),
            keys.queue_segment_at(Versionstamp::complete(1, 1, 0)));
  EXPECT_LT(keys.queue_segment_at(Versionstamp::complete(1, 9, 9)),
            keys.queue_segment_at(Versionstamp::complete(256, 0, 0)));
  EXPECT_LT(keys.queue_segment(1), keys.queue_segment(2));
  EXPECT_LT(keys.queue_segment(255), keys.queue_segment(256));
}

TEST(Keys, the_stamps_place_is_where_the_store_will_write_it) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  const auto stamp = Versionstamp::complete(0x0102030405060708, 0x090a, 5);
  for (const bool letter : {false, true}) {
    Bytes key = letter ? keys.dead_letter(5) : keys.queue_segment(5);
    key.replace(keys.stamp_offset(), Versionstamp::store_size,
                stamp.bytes().substr(0, Versionstamp::store_size));
    EXPECT_EQ(key, letter ? keys.dead_letter_at(stamp) : keys.queue_segment_at(stamp));
    EXPECT_EQ(*EntityKeys::stamp_in(key), stamp);
  }
}

TEST(Keys, a_key_too_short_for_a_stamp_is_corrupt) {
  const auto stamp = EntityKeys::stamp_in("short");
  ASSERT_FALSE(stamp);
  EXPECT_EQ(stamp.error().kind(), ErrorKind::corrupt);
}

TEST(Keys, the_index_lies_in_its_shard_and_gives_the_id_back) {
  std::set<std::uint32_t> shards;
  for (int i = 0; i < 500; ++i) {
    const EntityId id = entity("entity " + std::to_string(i));
    const EntityKeys keys(kPrefix, id);
    const auto shard = shard_of(id.id);
    ASSERT_LT(shard, kIndexShards);
    shards.insert(shard);
    EXPECT_TRUE(index_range(kPrefix, "Counter", shard).contains(keys.index()));
    EXPECT_FALSE(
        index_range(kPrefix, "Counter", (shard + 1) % kIndexShards).contains(keys.index()));
    EXPECT_TRUE(index_of_type(kPrefix, "Counter").contains(keys.index()));
    EXPECT_FALSE(index_of_type(kPrefix, "Counte").contains(keys.index()));
    EXPECT_EQ(keys.wake(), wake_key(kPrefix, "Counter", shard));
    EXPECT_EQ(*id_of_index_key(kPrefix, keys.index()), id.id);
  }
  EXPECT_EQ(shards.size(), kIndexShards) << "ids are spread over all of them";
}

TEST(Keys, a_session_key_in_capitals_is_corrupt) {
  const Bytes session = bytes_of({0xab});
  EXPECT_EQ(session_of_key(kPrefix, session_key(kPrefix, session)).value(), session);
  const Bytes capitals = Bytes(kPrefix) + Tuple{4, "AB"}.pack();
  EXPECT_EQ(session_of_key(kPrefix, capitals).error().kind(), ErrorKind::corrupt);
}

TEST(Keys, a_session_holds_its_row_its_wake_up_and_its_replies_and_nobody_elses) {
  const Bytes session = bytes_of({0, 0xff, 1, 2});
  const Bytes longer = session + Bytes(1, '\0');
  const KeyRange all = everything_of_session(kPrefix, session);
  EXPECT_TRUE(all.contains(session_key(kPrefix, session)));
  EXPECT_TRUE(all.contains(session_wake_key(kPrefix, session)));
  EXPECT_TRUE(all.contains(reply_key(kPrefix, session, 1)));
  EXPECT_TRUE(all.contains(reply_key(kPrefix, session, ~std::uint64_t{0})));
  EXPECT_FALSE(all.contains(session_key(kPrefix, longer)));
  EXPECT_FALSE(all.contains(reply_key(kPrefix, longer, 1)));
  const KeyRange replies = replies_of(kPrefix, session);
  EXPECT_TRUE(replies.contains(reply_key(kPrefix, session, 1)));
  EXPECT_FALSE(replies.contains(session_key(kPrefix, session)));
  EXPECT_FALSE(replies.contains(session_wake_key(kPrefix, session)));
  EXPECT_TRUE(session_range(kPrefix).contains(all.begin));
  for (const Bytes& key : {session_key(kPrefix, session), session_wake_key(kPrefix, session),
                           reply_key(kPrefix, session, 42)}) {
    EXPECT_EQ(*session_of_key(kPrefix, key), session) << to_printable(key);
  }
  EXPECT_EQ(*number_of_reply_key(kPrefix, reply_key(kPrefix, session, 42)), 42u);
  EXPECT_LT(reply_key(kPrefix, session, 255), reply_key(kPrefix, session, 256));
}

TEST(Keys, a_session_that_is_not_hexadecimal_is_corrupt) {
  for (const char* text : {"zz", "0x", "+1", "abc", " 1", "0g"}) {
    Bytes key = session_range(kPrefix).begin;
    key.pop_back();
    TupleWriter(key).add_text(text);
    const auto session = session_of_key(kPrefix, key);
    ASSERT_FALSE(session) << text;
    EXPECT_EQ(session.error().kind(), ErrorKind::corrupt) << session.error().to_string();
  }
}

TEST(Keys, entries_of_collections_lie_with_their_entity_behind_all_that_a_batch_reads) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  const Bytes lines = keys.collection("lines");
  const Bytes entry = lines + Tuple{-7, "x"}.pack();
  EXPECT_TRUE(entries_below(lines).contains(entry));
  EXPECT_FALSE(entries_below(keys.collection("line")).contains(entry));
  EXPECT_FALSE(entries_below(keys.collection("lines2")).contains(entry));
  EXPECT_TRUE(keys.collections().contains(entry));
  EXPECT_TRUE(keys.everything().contains(entry));
  EXPECT_LT(keys.chunks().end, entry);
  EXPECT_EQ(*name_of_collection_key(kPrefix, entry), "lines");
  EXPECT_EQ(*entity_of_key(kPrefix, entry), id);
  EXPECT_EQ(name_of_collection_key(kPrefix, keys.index()).error().kind(), ErrorKind::corrupt);
  bool is_consumers_own = false;
  for (const auto& range : keys.consumers_own()) {
    is_consumers_own = is_consumers_own || range.contains(entry);
  }
  EXPECT_TRUE(is_consumers_own) << "a kill takes it";
}

TEST(Keys, hosts_lie_in_their_range_and_their_wake_up_does_not) {
  const Bytes host = bytes_of({1, 2, 3});
  EXPECT_TRUE(host_range(kPrefix).contains(host_key(kPrefix, host)));
  EXPECT_FALSE(host_range(kPrefix).contains(hosts_wake_key(kPrefix)));
}

TEST(Keys, those_of_another_tenant_or_part_of_the_store_are_not_taken_for_ones_own) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  EXPECT_EQ(entity_of_key("other", keys.header()).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(entity_of_key(kPrefix, keys.index()).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(id_of_index_key(kPrefix, keys.header()).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(session_of_key(kPrefix, keys.header()).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(number_of_reply_key(kPrefix, keys.header()).error().kind(), ErrorKind::corrupt);
}

TEST(Keys, cut_or_damaged_keys_are_errors_and_never_more) {
  const EntityId id = entity("home");
  const EntityKeys keys(kPrefix, id);
  const Bytes session = bytes_of({0, 0xff, 1, 2});
  std::vector<Bytes> all = keys_beside(keys);
  all.push_back(keys.index());
  all.push_back(reply_key(kPrefix, session, 42));
  for (const Bytes& key : all) {
    for (std::size_t length = 0; length < key.size(); ++length) {
      const Bytes cut = key.substr(0, length);
      static_cast<void>(entity_of_key(kPrefix, cut));
      static_cast<void>(id_of_index_key(kPrefix, cut));
      static_cast<void>(session_of_key(kPrefix, cut));
      static_cast<void>(number_of_reply_key(kPrefix, cut));
      Bytes damaged = key;
      for (const int byte : {0x00, 0x01, 0x05, 0x7f, 0xff}) {
        damaged[length] = static_cast<char>(byte);
        static_cast<void>(entity_of_key(kPrefix, damaged));
        static_cast<void>(id_of_index_key(kPrefix, damaged));
        static_cast<void>(session_of_key(kPrefix, damaged));
        static_cast<void>(number_of_reply_key(kPrefix, damaged));
      }
    }
  }
  EXPECT_FALSE(entity_of_key(kPrefix, kPrefix));
  EXPECT_FALSE(number_of_reply_key(kPrefix, session_key(kPrefix, session)));
}

}  // namespace
}  // namespace semper::internal
