#include "conflict_log.h"

#include <gtest/gtest.h>

#include <map>

#include "semper/env/random.h"
#include "semper/testing/seed.h"

namespace semper::sqlite {
namespace {

using Answer = ConflictLog::Answer;

void write_one(ConflictLog& log, Version version, const Bytes& key) {
  log.begin(version);
  log.write(key);
  log.commit();
}

TEST(ConflictLog, a_write_after_the_read_is_seen_in_every_range_of_its_key) {
  ConflictLog log;
  log.reset(10);
  write_one(log, 11, "b");
  EXPECT_EQ(log.look(KeyRange::point("b"), 10), Answer::changed);
  EXPECT_EQ(log.look(KeyRange::point("b"), 11), Answer::unchanged);
  EXPECT_EQ(log.look(KeyRange::point("a"), 10), Answer::unchanged);
  EXPECT_EQ(log.look({"a", "c"}, 10), Answer::changed);
  EXPECT_EQ(log.look({"a", "c"}, 11), Answer::unchanged);
  EXPECT_EQ(log.look({"a", "b"}, 10), Answer::unchanged);
  EXPECT_EQ(log.look({"c", "d"}, 10), Answer::unchanged);
}

TEST(ConflictLog, what_came_before_the_log_is_unknown_and_not_unchanged) {
  ConflictLog log;
  log.reset(10);
  EXPECT_EQ(log.look(KeyRange::point("a"), 9), Answer::unknown);
  EXPECT_EQ(log.look({"a", "c"}, 9), Answer::unknown);
  EXPECT_EQ(log.look(KeyRange::point("a"), 10), Answer::unchanged);
}

TEST(ConflictLog, a_later_request_of_one_transaction_sees_the_earlier_ones) {
  ConflictLog log;
  log.reset(10);
  log.begin(11);
  log.write("a");
  EXPECT_EQ(log.look(KeyRange::point("a"), 10), Answer::changed);
  EXPECT_EQ(log.look({"", "b"}, 10), Answer::changed);
  log.renumber(12);
  log.write("b");
  EXPECT_EQ(log.look({"", "b"}, 11), Answer::unchanged);
  EXPECT_EQ(log.look({"", "c"}, 11), Answer::changed);
  EXPECT_EQ(log.look({"", "c"}, 12), Answer::unchanged);
}

TEST(ConflictLog, a_written_range_conflicts_with_points_and_ranges_in_it) {
  ConflictLog log;
  log.reset(10);
  log.begin(11);
  log.write(KeyRange{"m", "p"});
  log.commit();
  write_one(log, 12, "z");
  EXPECT_EQ(log.look(KeyRange::point("n"), 10), Answer::changed);
  EXPECT_EQ(log.look(KeyRange::point("n"), 11), Answer::unchanged);
  EXPECT_EQ(log.look(KeyRange::point("p"), 10), Answer::unchanged);
  EXPECT_EQ(log.look({"a", "m"}, 10), Answer::unchanged);
  EXPECT_EQ(log.look({"a", "n"}, 10), Answer::changed);
  EXPECT_EQ(log.look({"a", "n"}, 11), Answer::unchanged);
}

TEST(ConflictLog, more_transactions_than_it_holds_are_forgotten_oldest_first) {
  ConflictLog log;
  log.reset(10);
  log.begin(11);
  log.write(KeyRange{"m", "p"});
  log.commit();
  for (Version version = 12; version < 12 + kLogTransactions; ++version) {
    write_one(log, version, "a");
  }
  EXPECT_EQ(log.look({"m", "n"}, 10), Answer::unknown);
  EXPECT_EQ(log.look({"m", "n"}, 11), Answer::unchanged);
  EXPECT_EQ(log.look({"a", "b"}, 11), Answer::changed);
}

TEST(ConflictLog, nothing_is_left_of_a_transaction_that_was_dropped_or_reset) {
  ConflictLog log;
  log.reset(10);
  log.begin(11);
  log.drop();
  EXPECT_EQ(log.look({"a", "z"}, 10), Answer::unchanged);
  log.begin(11);
  log.write("b");
  log.reset(10);
  log.begin(11);
  EXPECT_EQ(log.look(KeyRange::point("b"), 10), Answer::unchanged);
}

// Against a map that remembers everything.
TEST(ConflictLog, it_never_says_unchanged_of_what_was_changed) {
  SeededRandom random(testing::test_seed());
  std::map<Bytes, Version> truth;
  ConflictLog log;
  log.reset(0);
  Version version = 0;
  std::size_t known = 0;
  const auto some_key = [&] {
    return Bytes(1, static_cast<char>('a' + random.below(26))) + std::to_string(random.below(200));
  };
  for (int transaction = 0; transaction < 600; ++transaction) {
    log.begin(version + 1);
    const auto requests = 1 + random.below(4);
    for (std::uint64_t i = 0; i < requests; ++i) {
      log.renumber(++version);
      for (auto writes = random.below(40); writes > 0; --writes) {
        const Bytes key = some_key();
        log.write(key);
        truth[key] = version;
      }
      KeyRange range{some_key(), some_key()};
      if (random.chance(0.3)) range = KeyRange::point(range.begin);
      const Version since = version - std::min<Version>(version, random.below(40));
      bool changed = false;
      for (auto at = truth.lower_bound(range.begin); at != truth.end() && at->first < range.end;
           ++at) {
        changed = changed || at->second > since;
      }
      const auto answer = log.look(range, since);
      if (answer == Answer::unknown) continue;
      ++known;
      EXPECT_EQ(answer == Answer::changed, changed)
          << to_printable(range.begin) << " to " << to_printable(range.end) << " since " << since;
    }
    log.commit();
  }
  EXPECT_GT(known, 300u);
}

TEST(WrittenKeys, hashes_differ_for_keys_that_differ_in_length_or_one_byte) {
  std::map<std::uint64_t, Bytes> seen;
  for (std::size_t size = 0; size < 40; ++size) {
    for (const char byte : {'\0', 'a', '\xff'}) {
      for (std::size_t place = 0; place < std::max<std::size_t>(size, 1); ++place) {
        Bytes key(size, '\0');
        if (size > 0) key[place] = byte;
        const auto [at, is_new] = seen.emplace(hash_key(key), key);
        EXPECT_TRUE(is_new || at->second == key) << to_printable(key);
      }
    }
  }
}

}  // namespace
}  // namespace semper::sqlite
