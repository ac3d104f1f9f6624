#include "server/send/send_counts.h"

#include <gtest/gtest.h>

#include <string>

#include "semper/server/ref.h"

namespace semper::internal {
namespace {

TEST(SendCounts, a_queue_is_due_after_every_interval_and_while_it_is_full_with_each_message) {
  SendCounts counts;
  const Bytes key = "a";
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 1; i < kQueueCheckInterval; ++i) EXPECT_FALSE(counts.add(key)) << i;
    EXPECT_TRUE(counts.add(key));
    EXPECT_TRUE(counts.add(key)) << "it was not looked at";
    counts.looked(key, true);
    EXPECT_TRUE(counts.add(key)) << "it is full";
    counts.looked(key, false);
  }
}

TEST(SendCounts, queues_stay_due_as_often_with_more_entities_than_are_counted) {
  SendCounts counts;
  const std::size_t entities = 2 * kSendCounts;
  std::uint64_t due = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < entities; ++i) {
      const Bytes key = std::to_string(i);
      if (!counts.add(key)) continue;
      ++due;
      counts.looked(key, false);
    }
  }
  // As often as they would be if all were counted, within a factor.
  const std::uint64_t expected = entities * kRounds / kQueueCheckInterval;
  EXPECT_GT(due, expected / 4);
  EXPECT_LT(due, expected * 4);
}

}  // namespace
}  // namespace semper::internal
