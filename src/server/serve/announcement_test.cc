#include "server/serve/announcement.h"

#include <gtest/gtest.h>

namespace semper::internal {
namespace {

QueuePlace place(std::uint64_t version, std::uint32_t offset = 0) {
  return {Versionstamp::complete(version, 0, 0), offset};
}

// Lets every process die in the run that it announces; how many do before it is set aside.
int runs_until_set_aside(const QueuePlace& head, std::uint64_t popped,
                         std::optional<Announcement> found, int attempts) {
  for (int runs = 0; runs < 100; ++runs) {
    const auto next = announcement_for(found, Announcer::ended, head, popped, 10, attempts);
    if (!next) return runs;
    EXPECT_EQ(next->place, head);
    found = next;
  }
  return 100;
}

TEST(Announcements, a_message_that_ends_each_process_is_run_as_often_as_a_message_may_fail) {
  for (const int attempts : {2, 3, 7}) {
    EXPECT_EQ(runs_until_set_aside(place(5), 0, std::nullopt, attempts), attempts);
  }
  // Never without having been run alone.
  EXPECT_EQ(runs_until_set_aside(place(5), 0, std::nullopt, 1), 2);
}

TEST(Announcements, a_message_that_was_behind_another_in_a_batch_that_died_is_run_alone) {
  const Announcement batch{place(5), 100, 110, 1, false, {}};
  const auto next = announcement_for(batch, Announcer::ended, place(5, 3), 103, 10, 3);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->alone);
  EXPECT_EQ(next->until, 110u);
  EXPECT_EQ(runs_until_set_aside(place(5, 3), 103, batch, 3), 2);
}

TEST(Announcements, runs_of_one_message_are_not_held_against_the_next) {
  const Announcement alone{place(5), 100, 110, 3, true, {}};
  EXPECT_FALSE(announcement_for(alone, Announcer::ended, place(5), 100, 10, 3));
  const auto next = announcement_for(alone, Announcer::ended, place(6), 101, 10, 3);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->runs, 2u);
}

TEST(Announcements, runs_of_a_host_that_lives_on_are_not_counted) {
  std::optional<Announcement> found(Announcement{place(5), 100, 110, 2, true, {}});
  for (int hosts = 0; hosts < 20; ++hosts) {
    found = announcement_for(found, Announcer::lives, place(5), 100, 10, 3);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->runs, 2u);
    EXPECT_TRUE(found->alone);
    EXPECT_EQ(found->until, 110u);
  }
  // What it knew of those behind it holds for who comes next.
  const auto next = announcement_for(found, Announcer::lives, place(6), 101, 10, 3);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->runs, 2u);
  EXPECT_TRUE(next->alone);
  // Of a batch that did not end its process nothing is known.
  const Announcement batch{place(5), 100, 110, 1, false, {}};
  for (const auto& head : {place(5), place(5, 1)}) {
    const auto again = announcement_for(batch, Announcer::lives, head, 100 + head.offset, 10, 3);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->runs, 1u);
    EXPECT_FALSE(again->alone);
  }
}

TEST(Announcements, an_announcement_that_others_got_past_says_nothing) {
  const Announcement old{place(5), 100, 110, 3, true, {}};
  for (const std::uint64_t popped : {std::uint64_t{0}, std::uint64_t{110}, std::uint64_t{500}}) {
    const auto next = announcement_for(old, Announcer::ended, place(9), popped, 10, 3);
    ASSERT_TRUE(next) << popped;
    EXPECT_EQ(next->runs, 1u);
    EXPECT_FALSE(next->alone);
    EXPECT_EQ(next->until, popped + 10);
  }
}

TEST(Announcements, an_announcement_is_read_as_it_was_written_and_nothing_else_is) {
  const Announcement written{place(12345, 7), 3, 1003, 2, true, Bytes("a host")};
  const Bytes bytes = written.encode();
  const auto read = Announcement::decode(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->place, written.place);
  EXPECT_EQ(read->popped, 3u);
  EXPECT_EQ(read->until, 1003u);
  EXPECT_EQ(read->runs, 2u);
  EXPECT_TRUE(read->alone);
  EXPECT_EQ(read->host, "a host");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Announcement::decode(bytes.substr(0, size))) << size;
  }
  // [stamp, offset, ...]: an offset of 2^32 + 7 is not that of message 7.
  Bytes far = bytes;
  far.replace(2 + Versionstamp::size, 1, Bytes("\x1b\x00\x00\x00\x01\x00\x00\x00\x07", 9));
  EXPECT_FALSE(Announcement::decode(far));
}

}  // namespace
}  // namespace semper::internal
