// Metrics: counters, gauges and histograms, kept in the process and exported in Prometheus' text
// format.
//
// What for: rates, queue lengths and latencies for dashboards and alerts. When not: single events
// (log.h), or one series per entity, message or user: series are permanent and bounded, and labels
// are for things of which there are few (a type, a backend, a result).
//
//   semper::metrics::Registry registry;                       // outlives what uses it; no globals
//   auto& calls = registry.counter({"semper_calls_total", "Calls handled"}, {{"type", "Counter"}});
//   auto& latency = registry.histogram({"semper_call_seconds", "From enqueue to reply"});
//   calls.add();                                              // one relaxed atomic addition
//   latency.record(std::chrono::microseconds(85));            // two
//   std::string page = registry.to_prometheus();              // serve as text/plain; version=0.0.4
//
// Ask for a metric once and keep the reference: asking takes a lock and compares strings, counting
// does not. The same family and labels give the same metric. References live as long as the
// registry.
//
// Beyond its bounds, a registry returns a metric that works but is never exported, and counts that
// in semper_metrics_refused_total. So a flood of label values costs the visibility of those series,
// not the process.
//
// Throws std::invalid_argument for a name or label that Prometheus does not allow, and
// std::logic_error for a family that is requested as two kinds; both are bugs of the caller.
// Threads: everything from any. Idea of the histogram: log-linear buckets, as in HdrHistogram (Gil
// Tene).
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace semper::metrics {

// Only goes up. Names end in _total.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept {
    value_.fetch_add(amount, std::memory_order_relaxed);
  }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down: a length, a number of open things, a time of day in seconds.
class Gauge {
 public:
  void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t amount) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// The distribution of whole numbers over the full 64 bits, exact below 16 and within 1/16 above.
// 7.7 KiB each.
class Histogram {
 public:
  static constexpr int kSubBucketBits = 4;
  static constexpr std::size_t kBuckets = (64 - kSubBucketBits + 1) << kSubBucketBits;

  void record(std::uint64_t value) noexcept {
    buckets_[bucket_of(value)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  // In nanoseconds; a negative duration counts as none.
  void record(std::chrono::nanoseconds value) noexcept {
    record(value.count() < 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(value.count()));
  }

  // How many values were recorded, and their sum (modulo 2^64).
  std::uint64_t count() const noexcept;
  std::uint64_t sum() const noexcept { return sum_.load(std::memory_order_relaxed); }
  // The smallest bucket end that at least this share of the values does not exceed: 0.5 is the
  // median, 1 the maximum. At most 1/16 too high, never too low. 0 if nothing was recorded.
  std::uint64_t quantile(double share) const noexcept;
  // How many values were below 2^power.
  std::uint64_t count_below_power_of_two(int power) const noexcept;

  // The bucket a value falls in, and the largest value of a bucket.
  static std::size_t bucket_of(std::uint64_t value) noexcept {
    constexpr std::uint64_t kSubBuckets = std::uint64_t{1} << kSubBucketBits;
    if (value < kSubBuckets) return static_cast<std::size_t>(value);
    // The leading bits lie in [16, 32), so the powers of two follow one another without a gap.
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - kSubBucketBits;
    return (static_cast<std::size_t>(shift) << kSubBucketBits) +
           static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t largest_in(std::size_t bucket) noexcept;

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_{0};
};

// How a histogram is exported: cumulative buckets with ends at powers of two.
struct HistogramOptions {
  // One recorded unit, in the unit of the name. Default: nanoseconds are recorded, and the name
  // ends in _seconds. 1 if both are the same (_bytes, _messages).
  double scale = 1e-9;
  // Ends from 2^smallest_power - 1 to 2^largest_power - 1 recorded units. Default: 1 us to 69 s.
  // Change with the scale; 4 to 30 suits bytes. From 0 to 63, the smallest first.
  int smallest_power = 10;
  int largest_power = 36;
};

// What all series of one name share. `help` is one sentence; the first one given is kept.
struct Family {
  std::string_view name;
  std::string_view help;
};

// Pairs of name and value, in any order. Values may contain anything; bytes that are not UTF-8 are
// escaped.
using Labels = std::vector<std::pair<std::string, std::string>>;

struct RegistryOptions {
  // The maximum number of series. Default 10000; every scrape lists all of them.
  std::size_t max_series = 10'000;
  // The maximum number of histograms among them (8 KB each). Default 1000.
  std::size_t max_histograms = 1'000;
};

class Registry {
 public:
  explicit Registry(RegistryOptions options = {});
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter& counter(Family family, const Labels& labels = {});
  Gauge& gauge(Family family, const Labels& labels = {});
  // The options of the family's first histogram apply to all.
  Histogram& histogram(Family family, const Labels& labels = {}, HistogramOptions options = {});

  // All series in Prometheus' text format 0.0.4, families and series sorted. Counting continues
  // meanwhile; the buckets, sum and count of one histogram may differ by values that were recorded
  // during the call.
  std::string to_prometheus() const;

  // The number of series, and how often a new one was refused.
  std::size_t series() const;
  std::uint64_t refused() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace semper::metrics
