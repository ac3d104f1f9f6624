// WaitingHeads: which message is the first of each queue that this host has looked at and has not
// emptied; the oldest of them is what HostStatistics::oldest_message and its metric say.
//
// An entity that this host has not looked at for kHeadsSeen may be another's by now, and is
// forgotten, unless this host holds its lock. So what is said may be of the past for that long.
//
// Bound: kHeadsWatched entities; past that, new ones are not watched. Threads: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "semper/env/clock.h"
#include "server/format/version_times.h"

namespace semper::internal {

inline constexpr std::size_t kHeadsWatched = 10'000;
// More than kLeftAloneLook, after which whatever is stuck has been looked at again.
inline constexpr Duration kHeadsSeen = std::chrono::seconds(70);

class WaitingHeads {
 public:
  // The queue's first message is of the commit at this version.
  void look(const std::string& id, Version head, MonotonicTime now);
  // The queue is empty.
  void gone(const std::string& id);
  // This host holds the lock of one that it has looked at, until released().
  void held(const std::string& id);
  void released(const std::string& id, MonotonicTime now);

  // For how long the oldest has waited, at least; zero: nothing is known to wait.
  Duration oldest(const VersionTimes& times, MonotonicTime now);
  std::size_t size() const;

 private:
  struct Head {
    Version version = 0;
    MonotonicTime seen{};
    bool is_held = false;
  };
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Head> heads_;
};

}  // namespace semper::internal
