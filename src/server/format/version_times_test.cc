#include "server/format/version_times.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "semper/env/random.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;

MonotonicTime at(Duration since) {
  return MonotonicTime(since);
}

TEST(VersionTimes, an_age_is_since_the_first_look_that_saw_the_version) {
  VersionTimes times;
  EXPECT_EQ(times.age_of(1, at(1s)), std::nullopt);
  times.saw(10, at(1s));
  times.saw(20, at(2s));
  times.saw(20, at(3s));
  EXPECT_EQ(times.age_of(5, at(10s)), 9s);
  EXPECT_EQ(times.age_of(10, at(10s)), 9s);
  EXPECT_EQ(times.age_of(11, at(10s)), 8s);
  EXPECT_EQ(times.age_of(20, at(10s)), 8s);
  EXPECT_EQ(times.age_of(21, at(10s)), std::nullopt);
}

TEST(VersionTimes, a_look_at_an_older_snapshot_says_nothing_new) {
  VersionTimes times;
  times.saw(100, at(1s));
  times.saw(50, at(2s));
  EXPECT_EQ(times.age_of(50, at(10s)), 9s);
  EXPECT_EQ(times.age_of(100, at(10s)), 9s);
}

// However long it looks: never more than the truth, and at most a third too little besides what is
// between two looks.
TEST(VersionTimes, ages_of_weeks_are_kept_in_few_looks) {
  SeededRandom random(1);
  VersionTimes times;
  std::vector<std::pair<Version, Duration>> committed;
  Version version = 1;
  Duration now = 1s;
  for (int i = 0; i < 200'000; ++i) {
    now += 1s;
    version += 1 + random.below(5);
    times.saw(version, at(now));
    if (random.chance(0.01)) committed.emplace_back(++version, now);
  }
  now += 1s;
  times.saw(++version, at(now));
  for (const auto& [of, when] : committed) {
    const auto told = times.age_of(of, at(now));
    ASSERT_TRUE(told);
    EXPECT_LE(*told, now - when);
    EXPECT_GE(*told + 2s, (now - when) * 2 / 3) << (now - when).count();
  }
  VersionAges ages;
  const Bytes row = times.encode(at(now));
  EXPECT_LE(row.size(), kVersionTimes * 18 + 8);
  ASSERT_TRUE(ages.add(row));
  for (const auto& [of, when] : committed) {
    EXPECT_LE(*times.age_of(of, at(now)) - *ages.age_of(of), 1ms);
  }
}

TEST(VersionTimes, rows_of_several_hosts_say_the_most_that_one_of_them_knows) {
  VersionTimes early;
  VersionTimes late;
  early.saw(10, at(1s));
  late.saw(30, at(5s));
  VersionAges ages;
  EXPECT_TRUE(ages.add(late.encode(at(9s))));
  EXPECT_TRUE(ages.add(early.encode(at(9s))));
  EXPECT_EQ(ages.age_of(10), 8s);
  EXPECT_EQ(ages.age_of(11), 4s);
  EXPECT_EQ(ages.age_of(31), std::nullopt);
}

TEST(VersionTimes, rows_that_cannot_be_read_count_as_none) {
  VersionTimes times;
  times.saw(10, at(1s));
  const Bytes row = times.encode(at(9s));
  for (std::size_t size = 0; size < row.size(); ++size) {
    VersionAges ages;
    EXPECT_FALSE(ages.add(BytesView(row).substr(0, size)));
    EXPECT_EQ(ages.age_of(1), std::nullopt);
  }
  VersionAges ages;
  EXPECT_FALSE(ages.add("\x01"));
  EXPECT_FALSE(ages.add("\x83\x02\x01\x01"));  // a later format
}

TEST(VersionTimes, keys_name_their_host) {
  const Bytes key = version_times_key("p", "host");
  EXPECT_TRUE(version_times_range("p").contains(key));
  EXPECT_TRUE(host_key_of_version_times("p", key).has_value());
  EXPECT_FALSE(host_key_of_version_times("q", key).has_value());
}

}  // namespace
}  // namespace semper::internal
