#include "replay.h"

#include "gtest/gtest.h"
#include "package.h"

namespace packages {
namespace {

StatusEvent event(std::string package, std::string status, std::string version,
                  std::int64_t second) {
  return {std::move(package),
          {"2026-03-01 10:00:00", std::move(status), std::move(version), {second, 0}}};
}

PackageState state_of(const std::string& status, const std::string& version) {
  PackageState state;
  state.status = status;
  state.version = version;
  return state;
}

TEST(Replay, it_keeps_the_last_word_on_each_package) {
  const auto packages =
      replay({event("a:all", "unpacked", "1", 1), event("b:all", "installed", "7", 2),
              event("a:all", "installed", "2", 3)});
  ASSERT_EQ(packages.size(), 2u);
  EXPECT_EQ(packages.at("a:all").status, "installed");
  EXPECT_EQ(packages.at("a:all").version, "2");
  EXPECT_EQ(packages.at("a:all").events, 2u);
  EXPECT_EQ(packages.at("a:all").last_position, (Position{3, 0}));
}

TEST(Replay, it_bounds_the_history) {
  std::vector<StatusEvent> events;
  for (int i = 0; i < 100; ++i) events.push_back(event("a:all", "installed", std::to_string(i), i));
  const auto packages = replay(events);
  EXPECT_EQ(packages.at("a:all").events, 100u);
  EXPECT_EQ(packages.at("a:all").history.size(), kHistoryMaximum);
  EXPECT_EQ(packages.at("a:all").history.back().version, "99");
}

TEST(Differences, there_are_none_in_equal_states) {
  const auto packages = replay({event("a:all", "installed", "2", 3)});
  EXPECT_TRUE(differences(packages.at("a:all"), packages.at("a:all"), Counting::from_zero).empty());
}

TEST(Differences, each_field_that_differs_is_named) {
  const auto expected = replay({event("a:all", "installed", "2", 3)}).at("a:all");
  const auto found = differences(expected, PackageState{}, Counting::from_zero);
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0], "status is '', not 'installed'");
  EXPECT_EQ(found[4], "history differs");
}

TEST(Differences, an_event_applied_twice_shows) {
  const auto first = event("a:all", "unpacked", "2", 3);
  const auto second = event("a:all", "installed", "2", 4);
  const auto expected = replay({first, second}).at("a:all");
  const auto twice = replay({first, first, second}).at("a:all");
  EXPECT_FALSE(differences(expected, twice, Counting::from_zero).empty());
}

TEST(Differences, an_event_lost_in_the_middle_shows) {
  const auto expected =
      replay({event("a:all", "unpacked", "2", 3), event("a:all", "half-configured", "2", 4),
              event("a:all", "installed", "2", 5)})
          .at("a:all");
  const auto lost =
      replay({event("a:all", "unpacked", "2", 3), event("a:all", "installed", "2", 5)}).at("a:all");
  EXPECT_FALSE(differences(expected, lost, Counting::at_least).empty());
}

TEST(Differences, events_of_deleted_logs_may_be_there_on_top) {
  const auto expected = replay({event("a:all", "installed", "2", 5)}).at("a:all");
  const auto longer =
      replay({event("a:all", "unpacked", "2", 3), event("a:all", "installed", "2", 5)}).at("a:all");
  EXPECT_TRUE(differences(expected, longer, Counting::at_least).empty());
  EXPECT_FALSE(differences(expected, longer, Counting::from_zero).empty());
}

TEST(ParseDpkgQuery, it_reads_status_and_version) {
  const auto database = parse_dpkg_query(
      "adduser:all install ok installed 3.134\nold:amd64 deinstall ok config-files 1\n"
      "never:amd64 unknown ok not-installed \n");
  ASSERT_TRUE(database.has_value()) << database.error().to_string();
  EXPECT_EQ(database->at("adduser:all").status, "installed");
  EXPECT_EQ(database->at("adduser:all").version, "3.134");
  EXPECT_EQ(database->at("old:amd64").status, "config-files");
  EXPECT_EQ(database->at("never:amd64").version, "");
}

TEST(ParseDpkgQuery, it_refuses_lines_of_another_form) {
  const auto database = parse_dpkg_query("adduser:all installed\n");
  ASSERT_FALSE(database.has_value());
  EXPECT_NE(database.error().message().find("adduser:all installed"), std::string::npos);
}

class CompareTest : public ::testing::Test {
 protected:
  Comparison compare_with(const std::string& package, const PackageState& state) const {
    return compare({{package, state}}, dpkg_);
  }
  const DpkgDatabase dpkg_{{"here:amd64", {"installed", "2"}}, {"rest:all", {"config-files", "1"}}};
};

TEST_F(CompareTest, it_counts_what_is_equal) {
  EXPECT_EQ(compare_with("here:amd64", state_of("installed", "2")).installed_equal, 1u);
  EXPECT_EQ(compare_with("rest:all", state_of("config-files", "1")).others_equal, 1u);
  EXPECT_EQ(compare_with("gone:all", state_of("not-installed", "<none>")).others_equal, 1u);
}

TEST_F(CompareTest, another_version_is_a_mismatch) {
  const auto result = compare_with("here:amd64", state_of("installed", "1"));
  ASSERT_EQ(result.mismatches.size(), 1u);
  EXPECT_EQ(result.mismatches[0],
            "here:amd64 is 'installed 1' in the log, and 'installed 2' says dpkg-query");
}

TEST_F(CompareTest, another_status_is_a_mismatch) {
  EXPECT_EQ(compare_with("here:amd64", state_of("unpacked", "2")).mismatches.size(), 1u);
}

TEST_F(CompareTest, one_installed_in_the_log_and_unknown_to_dpkg_is_a_mismatch) {
  EXPECT_EQ(compare_with("gone:all", state_of("installed", "2")).mismatches.size(), 1u);
  EXPECT_EQ(compare_with("here:all", state_of("installed", "2")).mismatches.size(), 1u);
}

TEST_F(CompareTest, one_replaced_by_another_architecture_is_told_apart) {
  const auto result = compare_with("here:all", state_of("half-installed", "1"));
  EXPECT_EQ(result.other_architecture, 1u);
  EXPECT_TRUE(result.mismatches.empty());
}

TEST_F(CompareTest, a_log_without_architectures_is_compared_by_name) {
  EXPECT_EQ(compare_with("here", state_of("installed", "2")).installed_equal, 1u);
  EXPECT_EQ(compare_with("here", state_of("installed", "3")).mismatches.size(), 1u);
}

TEST_F(CompareTest, what_is_older_than_the_log_is_counted) {
  EXPECT_EQ(compare({}, dpkg_).older_than_log, 1u);
  EXPECT_EQ(compare_with("here:amd64", state_of("installed", "2")).older_than_log, 0u);
}

}  // namespace
}  // namespace packages
