// TypeCounters: what a host counts of one type, for HostStatistics and, where it was given a
// registry, for those who watch it (HostOptions::metrics).
//
// Two hosts of a process may share a registry: a series then counts for both, HostStatistics for
// one. Threads: any; one relaxed addition for each of the two.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "semper/base/metrics.h"
#include "semper/env/clock.h"

namespace semper::internal {

// Only goes up.
class Count {
 public:
  void add(std::uint64_t amount = 1) {
    own_.fetch_add(amount, std::memory_order_relaxed);
    if (shown_ != nullptr) shown_->add(amount);
  }
  std::uint64_t value() const { return own_.load(std::memory_order_relaxed); }
  void show_in(metrics::Counter& counter) { shown_ = &counter; }

 private:
  std::atomic<std::uint64_t> own_{0};
  metrics::Counter* shown_ = nullptr;
};

// Goes up and down.
class Level {
 public:
  void add(std::int64_t amount) {
    own_.fetch_add(static_cast<std::uint64_t>(amount), std::memory_order_relaxed);
    if (shown_ != nullptr) shown_->add(amount);
  }
  std::uint64_t value() const { return own_.load(std::memory_order_relaxed); }
  void show_in(metrics::Gauge& gauge) { shown_ = &gauge; }

 private:
  std::atomic<std::uint64_t> own_{0};
  metrics::Gauge* shown_ = nullptr;
};

// Seen by those who watch a registry, and by nobody else.
class Spread {
 public:
  void record(std::uint64_t amount) {
    if (shown_ != nullptr) shown_->record(amount);
  }
  void record(Duration span) {
    if (shown_ != nullptr) shown_->record(span);
  }
  void show_in(metrics::Histogram& histogram) { shown_ = &histogram; }

 private:
  metrics::Histogram* shown_ = nullptr;
};

// What was found out last; hosts of one registry write over each other's.
class Reading {
 public:
  void set(std::int64_t value) {
    if (shown_ != nullptr) shown_->set(value);
  }
  void show_in(metrics::Gauge& gauge) { shown_ = &gauge; }

 private:
  metrics::Gauge* shown_ = nullptr;
};

struct TypeCounters {
  // `registry`: null, or one that outlives this.
  TypeCounters(metrics::Registry* registry, const std::string& type);
  TypeCounters(const TypeCounters&) = delete;
  TypeCounters& operator=(const TypeCounters&) = delete;

  Count messages;
  Count transactions;
  Count conflicts;
  Count failures;
  Count dead_letters;
  Count parked;
  Count cache_misses;
  Level locks;
  Count takeovers;
  Count left_alone;
  Count ticks;
  Count expired;
  Count limited;
  Spread batch;      // messages of one commit
  Spread callbacks;  // time in the callbacks of one commit
  Spread queue;      // messages in a queue, as its batches find it
  Reading oldest;    // seconds that the oldest message has waited
  Reading cached_entities;
  Reading cached_bytes;
};

}  // namespace semper::internal
