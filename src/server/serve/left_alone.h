// LeftAlone: the entities of one type that this host leaves to hosts that know more.
//
// An entity whose state is of a newer version, or has fields that this program lacks, or whose
// first message this program has no callback for, is neither decoded nor written here, and no
// attempt of a message is counted (behaviour.h). Its index entry stays, with a note of what it
// needs (needs.h); hosts that have that take it, whoever's shard it is in (membership.h). Here is
// remembered which those are, so that a scanner passes them over: it looks again after
// kLeftAloneMark where somebody has sent something since, which removes the note, and else after
// kLeftAloneLook, because what it needs may have changed.
//
// So is one whose first message another host has announced, which may have ended by it
// (announcement.h).
//
// An unknown message waits for HostOptions::unknown_message_wait. What counts is the time in which
// this host saw it first in the queue, by its own monotonic clock and with at most a step from look
// to look (lease.h): never more than really passed, and from the beginning where the host begins
// anew.
//
// Bounds: kLeftAloneEntities remembered; past that the oldest is forgotten, and looked at again
// when somebody has sent something to it. Threads: any.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "server/format/lease.h"
#include "server/format/needs.h"
#include "server/serve/announcement.h"

namespace semper::internal {

inline constexpr std::size_t kLeftAloneEntities = 10'000;
inline constexpr Duration kLeftAloneMark = std::chrono::seconds(1);
inline constexpr Duration kLeftAloneLook = std::chrono::minutes(1);

class LeftAlone {
 public:
  // `wait`: of a message that is not known.
  explicit LeftAlone(Duration wait) : wait_(wait) {}

  // Nothing is left alone, as nearly always.
  bool is_empty() const { return count_.load(std::memory_order_relaxed) == 0; }

  // The entity has work. For how long it is to be left alone from now on; zero: look at it.
  // `is_marked`: with what this host cannot do.
  Duration until_look(const std::string& id, bool is_marked, MonotonicTime now);

  struct Left {
    bool is_new = false;      // it was not left alone before, or for another reason
    bool wants_mark = false;  // the last time that it was marked is long enough ago
    Duration waited{};        // seen waiting, for this reason
  };
  // It was looked at, and is left alone. `head`: of the message that is not known; else the same
  // for all.
  Left leave(const std::string& id, const QueuePlace& head, MonotonicTime now);
  // Whether the message has waited for long enough.
  bool is_over(const Left& left) const { return left.waited >= wait_; }
  Duration wait() const { return wait_; }

  // This host can do with it.
  void forget(const std::string& id);

  // Of others' shards: this host did with what their own had left alone, and takes it from now on.
  void adopt(const std::string& id);
  bool is_adopted(const std::string& id) const;

  // An entity needs a newer program than this one, and does not say which.
  void fall_behind() { is_behind_.store(true, std::memory_order_relaxed); }
  bool is_behind() const { return is_behind_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    QueuePlace head;
    Attention attention;
    Duration waited{};
    MonotonicTime looked{};
    MonotonicTime marked{};
    bool was_marked = false;
  };

  const Duration wait_;
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> is_behind_{false};
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::string> order_;  // of their coming; some are gone
  std::set<std::string> adopted_;
};

}  // namespace semper::internal
