#include "fleet.h"

#include <gtest/gtest.h>

#include <vector>

namespace fleet {
namespace {

TEST(Fleet, loses_nothing_while_two_releases_run_and_the_older_writes_nothing_of_the_newer) {
  semper::Scheduler scheduler;
  std::vector<std::string> said;
  const auto ended = scheduler.block_on(upgrade_one_by_one(
      "memory:fleet-test", [&](const std::string& line) { said.push_back(line); }));
  ASSERT_TRUE(ended) << ended.error().to_string();
  const std::map<std::string, std::int64_t> expected = {{"main", 76}, {"north", 30}};
  EXPECT_EQ(*ended, expected);
  ASSERT_EQ(said.size(), 5u);
  EXPECT_EQ(said[1], "2 messages wait for release 2");
  EXPECT_NE(said[4].find("version 2, and this program knows versions up to 1"), std::string::npos);
}

}  // namespace
}  // namespace fleet
