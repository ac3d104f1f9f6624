// Desk: an entity as one runner knows it, and what the runner remembers from batch to batch.
//
// Used by one coroutine at a time, without a lock: the runner whose turn it is (slot.h). Where a
// runner loses its turn in the middle, its desk stays with it, and the next one begins with
// another.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "server/serve/announcement.h"
#include "server/serve/entity.h"

namespace semper::internal {

inline constexpr std::size_t kNoMessageLimit = ~std::size_t{0};

// Where publishers are quick, the index entry goes only after the queue was found empty so often in
// a row, with these pauses: taking it away while a message comes costs a conflict.
inline constexpr int kEmptyLooks = 8;
inline constexpr Duration kEmptyPause = std::chrono::milliseconds(1);

struct Desk {
  explicit Desk(std::shared_ptr<const Target> target) : entity(std::move(target)) {}

  Entity entity;
  const void* loop = nullptr;  // of the runner that has it
  // A callback or an action runs, in the loop of whoever has this desk. Set with the slot's lock.
  std::atomic<bool> in_callbacks = false;
  void leave_callbacks() { in_callbacks.store(false); }

  bool contended = false;  // taking the index entry away met publishers the last time
  bool crowded = false;    // so did operations of this process; until the queue is found empty
  int runs_alone = 0;      // so many times more: what it did last was too much for a group
  int empty_looks = 0;     // at the queue since then, in a row, that found nothing
  // Runs that this message, the first of the queue, failed.
  int head_failures = 0;
  QueuePlace head;
  std::int64_t head_failed_first_ms = 0;  // wall clock; 0: not known
  bool has_noted_failure = false;         // the store holds a FailureNote of it
  // Messages of a batch, while others change the entity: half of one that lost, twice one that won.
  std::size_t most = kNoMessageLimit;
  // Of messages that a process may have died of: the announcement in force, the number of the
  // suspicion that it is for, and of the one that the queue is cleared of.
  std::optional<Announcement> announced;
  std::uint64_t announced_of = 0;
  std::uint64_t cleared_of = 0;
  // Of a type whose entities expire: when this one does, as of the header of this stamp.
  std::int64_t expires_ms = 0;
  Versionstamp expires_of;
  // The tick that was to remove it, and did not: handle_expiry failed.
  std::optional<QueuePlace> kept_expired;
  // Who asked last to be let by.
  SeenHold hold;
  // Where it cannot be read: the last segment whose callers were told.
  std::optional<Versionstamp> parked_told;
};

}  // namespace semper::internal
