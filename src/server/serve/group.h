// Groups: many entities that have work, each with a message or two, in one transaction.
//
// What is spread over many entities would cost each message a transaction: a snapshot, a check of
// what it read, an answer. The entities that scanners find while a group's commit is under way are
// the next one. One snapshot shows all of them, their callbacks run one after another, and one
// commit takes all of it.
//
// Ticks of timers whose entities rest join them, too (due_ticks.h): they are run behind what waits
// in the entity's queue, and never were in it.
//
// A group is for the case that nothing is unusual. An entity that is at work, locked, suspected
// (announcement.h), that failed or was slow, is run alone, by its slot. Where a callback fails or
// asks for the lock, or the commit does, nothing of the group has happened, all of its entities are
// run alone, and the next groups are half as large. So no entity is held up by another's trouble
// for longer than that.
//
// When not: on hosts with several threads, because a group's callbacks run on one; and on stores
// whose transactions are small, or where two commits can have one version (etcd, FoundationDB).
//
// Bounds: kGroupEntities, kGroupsAtOnce, kGroupMessagesPerEntity, kGroupCallbackTime, half of the
// store's limits. Those who wait hold a permit each (permits.h), but for ticks, of which a shard's
// DueScanner hands over kTimersFiredPerTransaction at a time. Threads: any.
// Source of the idea: group commit, one level up.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "server/serve/due_ticks.h"
#include "server/serve/group_limits.h"
#include "server/serve/slot.h"

namespace semper::internal {

class Groups : public std::enable_shared_from_this<Groups> {
 public:
  explicit Groups(std::shared_ptr<const ServedBehaviour> served);

  // The entity has work: the index said so at this version.
  void add(std::shared_ptr<Slot> slot, Version seen_at, std::shared_ptr<Permit> permit);

  // Timers of the entity are due. So many entities may be handed over now.
  std::size_t room_for_ticks();
  void add(std::shared_ptr<Slot> slot, HandedTicks ticks);

  // The host has stopped.
  void clear();

 private:
  struct Waiting {
    std::shared_ptr<Slot> slot;
    Version seen_at;
    std::shared_ptr<Permit> permit;
    HandedTicks handed = {};  // instead of a notice
  };
  struct Member;
  using Members = std::vector<std::unique_ptr<Member>>;
  class Running;

  void add(Waiting waiting);
  static Task<void> run(std::shared_ptr<Running> running);
  std::vector<Waiting> take();
  static Members join(std::vector<Waiting> waiting);
  Task<void> run_together(Members members);
  void leave(Member& member);
  // Of which members is in `concluded` where it was committed.
  Async<void> attempt(Members& members);
  static void check(const Members& members);
  void learn(bool went_well);

  HostCore& core() const { return served_->core(); }

  const std::shared_ptr<const ServedBehaviour> served_;
  const bool suits_;  // this host and its store

  std::mutex mutex_;
  std::deque<Waiting> waiting_;
  std::size_t running_ = 0;
  std::size_t most_ = kGroupEntities;  // of the next group
};

}  // namespace semper::internal
