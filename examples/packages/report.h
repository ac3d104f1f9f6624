// What a run came to, for a person and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replay.h"

namespace packages {

// Mismatches shown one by one; the rest is counted.
inline constexpr std::size_t kMismatchesShown = 10;

struct Report {
  std::string store;
  std::vector<std::string> logs;
  std::vector<std::string> notes;
  std::string first_time;
  std::string last_time;

  std::uint64_t events = 0;   // in the log, all of them sent
  std::uint64_t applied = 0;  // new to their entity
  std::uint64_t refused = 0;  // applied before
  std::uint64_t entities = 0;
  double seconds = 0;  // from the first event sent to the last one processed
  int consumers = 0;
  std::string killed;  // one sentence; empty: none was killed
  std::vector<std::pair<std::string, std::string>> processed;  // consumer, its messages, in words

  std::uint64_t left_in_queues = 0;
  std::vector<std::string> log_mismatches;
  std::optional<Comparison> dpkg;  // empty: not compared
  std::string why_no_dpkg;

  std::string tool;     // how to call `semper`
  std::string example;  // the package with the most events

  bool is_good() const;
};

std::string to_text(const Report& report);
std::string to_json_text(const Report& report);

}  // namespace packages
