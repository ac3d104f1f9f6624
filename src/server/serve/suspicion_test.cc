#include "server/serve/suspicion.h"

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
    const auto next = announcement_for(found, head, popped, 10, attempts);
    if (!next) return runs;
    EXPECT_EQ(next->place, head);
    found = next;
  }
  return 100;
}

TEST(Suspicion, a_message_that_ends_each_process_is_run_as_often_as_a_message_may_fail) {
  for (const int attempts : {2, 3, 7}) {
    EXPECT_EQ(runs_until_set_aside(place(5), 0, std::nullopt, attempts), attempts);
  }
  // Never without having been run alone.
  EXPECT_EQ(runs_until_set_aside(place(5), 0, std::nullopt, 1), 2);
}

TEST(Suspicion, one_that_was_behind_another_in_a_batch_that_died_is_run_alone) {
  const Announcement batch{place(5), 100, 110, 1, false};
  const auto next = announcement_for(batch, place(5, 3), 103, 10, 3);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->alone);
  EXPECT_EQ(next->until, 110u);
  EXPECT_EQ(runs_until_set_aside(place(5, 3), 103, batch, 3), 2);
}

TEST(Suspicion, runs_of_one_message_are_not_held_against_the_next) {
  const Announcement alone{place(5), 100, 110, 3, true};
  EXPECT_FALSE(announcement_for(alone, place(5), 100, 10, 3));
  const auto next = announcement_for(alone, place(6), 101, 10, 3);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->runs, 2u);
}

TEST(Suspicion, an_announcement_that_others_got_past_says_nothing) {
  const Announcement old{place(5), 100, 110, 3, true};
  for (const std::uint64_t popped : {std::uint64_t{0}, std::uint64_t{110}, std::uint64_t{500}}) {
    const auto next = announcement_for(old, place(9), popped, 10, 3);
    ASSERT_TRUE(next) << popped;
    EXPECT_EQ(next->runs, 1u);
    EXPECT_FALSE(next->alone);
    EXPECT_EQ(next->until, popped + 10);
  }
}

TEST(Suspicion, covers_what_was_there_at_the_first_look_and_at_the_first_after_a_death) {
  Suspicion suspicion;
  EXPECT_TRUE(suspicion.covers(7, 10));
  EXPECT_TRUE(suspicion.covers(10, 20));
  EXPECT_FALSE(suspicion.covers(11, 20));
  const auto number = suspicion.number();
  suspicion.renew();
  EXPECT_TRUE(suspicion.covers(25, 30));
  EXPECT_NE(suspicion.number(), number);
  EXPECT_FALSE(suspicion.covers(31, 40));
  suspicion.clear();
  EXPECT_FALSE(suspicion.covers(1, 50));
}

TEST(Suspicion, an_announcement_is_read_as_it_was_written_and_nothing_else_is) {
  const Announcement written{place(12345, 7), 3, 1003, 2, true};
  const Bytes bytes = written.encode();
  const auto read = Announcement::decode(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->place, written.place);
  EXPECT_EQ(read->popped, 3u);
  EXPECT_EQ(read->until, 1003u);
  EXPECT_EQ(read->runs, 2u);
  EXPECT_TRUE(read->alone);
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
