// LocalGroups: operations of this process for many entities, in one transaction.
//
// A call or a cast of the host's own process would cost each entity a transaction: a runner, a
// commit, an answer of its own. While others of the type are at work, an entity that rests and gets
// an operation waits for the end of this turn of its caller's loop. What has come by then runs
// together: one callback after another, one commit, one answer for all. Callers that were answered
// together send together, so groups form by themselves, as in group.h. Where nobody is at work, the
// operation is run at once.
//
// Only what the host knows of the entity already is used, so a group reads nothing (known_group.h).
// An entity that is not known, whose message has a key or puts its expiry off, that holds a lock or
// was announced, is run alone by its slot, as before. Where a callback fails or asks for more than
// its state, or the commit does, nothing of the group has happened, all of its entities are run
// alone, and the next groups are half as large. So no entity is held up by another's trouble for
// longer than that.
//
// A group runs on the loop of its callers (or their strand of it), which is only borrowed: where
// that is destroyed or does not run any more, each entity goes on as if it had run alone (slot.h),
// and who waits on another loop gets outcome_unknown.
//
// Bounds: kLocalGroupEntities, and a group's. Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "server/serve/known_group.h"

namespace semper::internal {

class LocalGroups : public std::enable_shared_from_this<LocalGroups> {
 public:
  explicit LocalGroups(std::shared_ptr<const ServedBehaviour> served);

  bool suits() const { return changes_ != nullptr; }

  // The entity has operations of this loop. On a thread that runs it.
  void add(Slot::Running running, const Executor& executor);

 private:
  struct Gathering;
  class Gathered;
  using Member = KnownMember;
  using Members = KnownGroup::Members;

  static bool is_of(const Gathering& gathering, const Executor& executor);
  // With the lock: nobody is taken in any more.
  void end(const std::shared_ptr<Gathering>& gathering);
  std::vector<Slot::Running> close(const std::shared_ptr<Gathering>& gathering);
  static Task<void> run(std::shared_ptr<LocalGroups> self, std::shared_ptr<Gathered> gathered);
  static Task<void> run_alone(std::unique_ptr<Member> member);
  void leave(std::unique_ptr<Member> member, const Executor& executor);
  void learn(bool went_well);

  const std::shared_ptr<const ServedBehaviour> served_;
  const RecentChanges* const changes_;  // null where host or store are none for groups

  std::mutex mutex_;
  std::vector<std::pair<const void*, std::weak_ptr<Gathering>>> open_;  // of each loop
  std::size_t most_ = kLocalGroupEntities;                              // of the next group
};

}  // namespace semper::internal
