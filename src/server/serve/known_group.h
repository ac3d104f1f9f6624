// KnownGroup: entities of which this host knows all that it needs, in one transaction.
//
// What is known of each is checked by what the store tells of recent changes, and by the commit
// (RecentChanges), so that nothing is read. One callback after another, one commit. All that have
// joined have taken effect then, or none has. Who is in a group, and what becomes of those that it
// has not run, is for those to say that make one: local_groups.h, relayed.h.
//
// Bounds: kGroupMessagesPerEntity, kGroupCallbackTime, half of the store's limits. Threads: the
// entities' loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "semper/store/recent_changes.h"
#include "server/serve/group_limits.h"
#include "server/serve/slot.h"

namespace semper::internal {

// An entity whose turn a group has.
struct KnownMember {
  KnownMember(Slot::Running of, std::vector<Operation> operations)
      : running(std::move(of)),
        batch(running.slot()->batch_for_local_group(running, std::move(operations))) {}

  Slot::Running running;
  Batch batch;
  AttemptEffects effects;
  bool has_joined = false;
  bool took_effect = false;
  bool is_concluded = false;  // and what follows from that was done
  bool is_done = false;       // nothing is left
  BatchOutcome outcome;
};

class KnownGroup {
 public:
  using Members = std::vector<std::unique_ptr<KnownMember>>;
  // What else belongs into the transaction of those that have joined, which began at that version.
  using More = std::function<Status(Transaction& transaction, Version began_at)>;

  // Null where host or store are none for groups: behaviours whose callbacks may wait, hosts with
  // several threads, stores that have no RecentChanges, whose transactions are small, or where two
  // commits can have one version.
  static const RecentChanges* changes_for_groups(const ServedBehaviour& served);

  // Borrows both.
  KnownGroup(const ServedBehaviour& served, const RecentChanges& changes)
      : served_(served), changes_(changes) {}

  // Error: nothing has happened, or it is not known whether it has (outcome_unknown).
  Async<void> attempt(Members& members, const More& more = {}) const;
  // After an error.
  void undo(Members& members, const Error& error) const;

 private:
  Async<void> attempt_unchecked(Members& members, const More& more) const;
  Result<std::uint16_t> join(Transaction& transaction, Version at, Members& members) const;
  // What was only read is still so.
  Async<void> confirm(Members& members) const;
  static void check(const Members& members);
  HostCore& core() const { return served_.core(); }

  const ServedBehaviour& served_;
  const RecentChanges& changes_;
};

}  // namespace semper::internal
