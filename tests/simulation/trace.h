// Trace: everything that happened in a simulation, in order, with a hash by which two runs are
// compared.
//
// The hash takes in every event, kept or not; a run that is to be shown keeps them (keep()).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "semper/base/time.h"

namespace semper::simulation {

enum class EventKind : std::uint8_t { call, answer, fault, life, log, phase, finding };
std::string_view to_string(EventKind kind);

// The lane of what is no process's.
inline constexpr std::size_t kNoLane = ~std::size_t{0};

struct TraceEvent {
  Duration at{};  // since the beginning
  std::size_t lane = kNoLane;
  EventKind kind = EventKind::call;
  std::string text;
};

class Trace {
 public:
  // From now on events are kept for events(); a bound keeps a run that never ends from taking all
  // memory.
  static constexpr std::size_t kEventsAtMost = 200'000;
  void keep() { keeps_ = true; }

  void add(Duration at, std::size_t lane, EventKind kind, std::string_view text);
  // Takes a number into the hash.
  void mix(std::uint64_t number);

  std::uint64_t hash() const { return hash_; }
  std::uint64_t count() const { return count_; }
  const std::vector<TraceEvent>& events() const { return events_; }

 private:
  bool keeps_ = false;
  std::uint64_t hash_ = 0xcbf29ce484222325;
  std::uint64_t count_ = 0;
  std::vector<TraceEvent> events_;
};

}  // namespace semper::simulation
