#include "semper/base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace semper::metrics {
namespace {

using ::testing::HasSubstr;

TEST(HistogramTest, buckets_neither_overlap_nor_leave_gaps) {
  std::uint64_t next = 0;
  for (std::size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
    const std::uint64_t largest = Histogram::largest_in(bucket);
    ASSERT_GE(largest, next);
    ASSERT_EQ(Histogram::bucket_of(next), bucket);
    ASSERT_EQ(Histogram::bucket_of(largest), bucket);
    ASSERT_LE(largest - next, largest / 16) << "a bucket is wider than 1/16 of its values";
    next = largest + 1;
  }
  EXPECT_EQ(next, 0u) << "the last bucket ends with the largest number";
}

TEST(HistogramTest, a_quantile_is_never_too_low_and_at_most_a_sixteenth_too_high) {
  constexpr std::uint64_t kSeed = 6;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 10000; ++i) {
    values.push_back(random() >> (random() % 64));
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(histogram.count(), values.size());
  for (const double share : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(share * 10000);
    const std::uint64_t exact = values[rank == 0 ? 0 : rank - 1];
    const std::uint64_t told = histogram.quantile(share);
    EXPECT_GE(told, exact) << share;
    EXPECT_LE(told - exact, exact / 16) << share;
  }
}

TEST(HistogramTest, an_empty_histogram_and_extreme_values_give_sensible_numbers) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0u);
  EXPECT_EQ(histogram.count(), 0u);
  histogram.record(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(histogram.quantile(0.5), std::numeric_limits<std::uint64_t>::max());
  histogram.record(std::chrono::nanoseconds(-5));
  EXPECT_EQ(histogram.quantile(0.5), 0u);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.count_below_power_of_two(0), 1u);
  EXPECT_EQ(histogram.count_below_power_of_two(63), 1u);
  EXPECT_EQ(histogram.count_below_power_of_two(64), 2u);
}

TEST(HistogramTest, a_power_of_two_is_not_counted_below_itself) {
  Histogram histogram;
  histogram.record(std::uint64_t{1023});
  histogram.record(std::uint64_t{1024});
  EXPECT_EQ(histogram.count_below_power_of_two(10), 1u);
  EXPECT_EQ(histogram.count_below_power_of_two(11), 2u);
}

TEST(RegistryTest, the_same_family_and_labels_give_the_same_metric) {
  Registry registry;
  Counter& first = registry.counter({"calls_total", "Calls"}, {{"a", "1"}, {"b", "2"}});
  Counter& same = registry.counter({"calls_total", ""}, {{"b", "2"}, {"a", "1"}});
  Counter& other = registry.counter({"calls_total", "Calls"}, {{"a", "1"}});
  EXPECT_EQ(&first, &same);
  EXPECT_NE(&first, &other);
  for (int i = 0; i < 1000; ++i) registry.gauge({"g", ""}, {{"i", std::to_string(i)}});
  first.add(3);
  EXPECT_EQ(registry.counter({"calls_total", ""}, {{"a", "1"}, {"b", "2"}}).value(), 3u);
  EXPECT_EQ(registry.series(), 1002u);
}

TEST(RegistryTest, the_page_has_the_format_of_prometheus) {
  Registry registry;
  registry.counter({"calls_total", "Calls, \"all\"\nof \\ them"}, {{"type", "a\"b\\c\nd"}}).add(7);
  registry.counter({"calls_total", ""}, {}).add();
  registry.gauge({"queue_length", "Waiting"}).set(-2);
  Histogram& sizes = registry.histogram({"size_bytes", "Sizes"}, {{"x", "y"}},
                                        {.scale = 1, .smallest_power = 1, .largest_power = 3});
  for (const std::uint64_t value : {0u, 1u, 2u, 7u, 8u}) sizes.record(value);
  EXPECT_EQ(
      registry.to_prometheus(),
      "# HELP semper_metrics_refused_total Metrics requested beyond the bounds of the registry, "
      "which are not exported\n"
      "# TYPE semper_metrics_refused_total counter\n"
      "semper_metrics_refused_total 0\n"
      "# HELP calls_total Calls, \"all\"\\nof \\\\ them\n"
      "# TYPE calls_total counter\n"
      "calls_total 1\n"
      "calls_total{type=\"a\\\"b\\\\c\\nd\"} 7\n"
      "# HELP queue_length Waiting\n"
      "# TYPE queue_length gauge\n"
      "queue_length -2\n"
      "# HELP size_bytes Sizes\n"
      "# TYPE size_bytes histogram\n"
      "size_bytes_bucket{x=\"y\",le=\"1\"} 2\n"
      "size_bytes_bucket{x=\"y\",le=\"3\"} 3\n"
      "size_bytes_bucket{x=\"y\",le=\"7\"} 4\n"
      "size_bytes_bucket{x=\"y\",le=\"+Inf\"} 5\n"
      "size_bytes_sum{x=\"y\"} 18\n"
      "size_bytes_count{x=\"y\"} 5\n");
}

TEST(RegistryTest, durations_are_shown_in_seconds) {
  Registry registry;
  registry.histogram({"call_seconds", "Time"}).record(std::chrono::milliseconds(1500));
  const std::string page = registry.to_prometheus();
  EXPECT_THAT(page, HasSubstr("call_seconds_sum 1.5\n"));
  EXPECT_THAT(page, HasSubstr("call_seconds_bucket{le=\"1.023e-06\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("call_seconds_bucket{le=\"1.073741823\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("call_seconds_bucket{le=\"2.147483647\"} 1\n"));
}

TEST(RegistryTest, a_label_value_that_is_not_utf8_is_escaped) {
  Registry registry;
  registry.counter({"c", ""}, {{"v", "\xff"}}).add();
  EXPECT_THAT(registry.to_prometheus(), HasSubstr("c{v=\"\\\\xff\"} 1\n"));
}

TEST(RegistryTest, a_flood_of_series_stops_at_the_bounds_and_is_counted) {
  Registry registry({.max_series = 3, .max_histograms = 1});
  registry.counter({"c", ""}, {{"i", "0"}});
  registry.histogram({"h", ""}, {{"i", "0"}});
  registry.histogram({"h", ""}, {{"i", "1"}}).record(std::uint64_t{5});
  EXPECT_EQ(registry.refused(), 1u);
  registry.gauge({"g", ""});
  Counter& unseen = registry.counter({"late", ""});
  unseen.add();
  EXPECT_EQ(registry.refused(), 2u);
  EXPECT_EQ(registry.series(), 3u);
  registry.counter({"c", ""}, {{"i", "0"}}).add();
  EXPECT_EQ(registry.refused(), 2u) << "what is there already is not refused";
  const std::string page = registry.to_prometheus();
  EXPECT_THAT(page, HasSubstr("semper_metrics_refused_total 2\n"));
  EXPECT_EQ(page.find("late"), std::string::npos);
}

TEST(RegistryTest, a_wrong_name_or_kind_is_refused) {
  Registry registry;
  for (const char* name : {"", "1a", "a-b", "a b", "\xff", "semper_metrics_refused_total"}) {
    EXPECT_THROW(registry.counter({name, ""}), std::invalid_argument) << name;
  }
  for (const char* label : {"", "1a", "a:b", "__a", "le"}) {
    EXPECT_THROW(registry.counter({"c", ""}, {{label, "v"}}), std::invalid_argument) << label;
  }
  EXPECT_THROW(registry.counter({"c", ""}, {{"a", "1"}, {"a", "2"}}), std::invalid_argument);
  EXPECT_THROW(registry.histogram({"h", ""}, {}, {.smallest_power = 5, .largest_power = 4}),
               std::invalid_argument);
  EXPECT_THROW(registry.histogram({"h", ""}, {}, {.largest_power = 64}), std::invalid_argument);
  registry.counter({"c", ""});
  EXPECT_THROW(registry.gauge({"c", ""}), std::logic_error);
  EXPECT_EQ(registry.series(), 1u);
}

TEST(RegistryTest, no_count_of_several_threads_is_lost) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  Registry registry;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&registry] {
      for (int round = 0; round < kRounds; ++round) {
        registry.counter({"c", ""}, {{"i", std::to_string(round % 5)}}).add();
        registry.histogram({"h", ""}).record(static_cast<std::uint64_t>(round));
        if (round % 100 == 0) {
          EXPECT_FALSE(registry.to_prometheus().empty());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::uint64_t total = 0;
  for (int i = 0; i < 5; ++i) {
    total += registry.counter({"c", ""}, {{"i", std::to_string(i)}}).value();
  }
  EXPECT_EQ(total, std::uint64_t{kThreads} * kRounds);
  EXPECT_EQ(registry.histogram({"h", ""}).count(), std::uint64_t{kThreads} * kRounds);
}

}  // namespace
}  // namespace semper::metrics
