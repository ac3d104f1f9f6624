#include "server/serve/known_group.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "server/format/enqueue.h"
#include "server/format/half_full.h"

namespace semper::internal {

const RecentChanges* KnownGroup::changes_for_groups(const ServedBehaviour& served) {
  const auto& core = served.core();
  const auto& backend = core.store().backend();
  const bool suits = core.options.threads == 1 && !served.behaviour().has_waiting_callbacks() &&
                     backend.traits().versions_are_commits &&
                     backend.limits().transaction_operations >= kGroupOperations;
  return suits ? find_recent_changes(core.store()) : nullptr;
}

Async<void> KnownGroup::attempt(Members& members, const More& more) const {
  Status status;
  try {
    status = co_await attempt_unchecked(members, more);
  } catch (...) {  // memory that ran out, before the commit or after it
    const Error why = exception_error("a group of " + served_.type(), std::current_exception());
    status = fail(ErrorKind::outcome_unknown, why.message());
  }
  if (status) check(members);
  co_return status;
}

// One transaction. Where it fails, none of the members has anything of it.
Async<void> KnownGroup::attempt_unchecked(Members& members, const More& more) const {
  TransactionOptions options;
  options.read_version = changes_.newest_known();
  if (!options.read_version) co_return fail(ErrorKind::conflict, "nothing is known of changes");
  Transaction transaction = core().store().begin(options);
  SEMPER_CO_TRY(const std::uint16_t segments, join(transaction, *options.read_version, members));
  const bool anybody = std::any_of(members.begin(), members.end(),
                                   [](const auto& member) { return member->has_joined; });
  if (!anybody) co_return Status{};
  if (more) SEMPER_CO_TRY_STATUS(more(transaction, *options.read_version));
  if (transaction.operation_count() == 0) co_return co_await confirm(members);
  for (auto& member : members) {
    if (member->effects.sends.spans) member->effects.commit_began = core().clock().now();
  }
  auto committed = co_await transaction.commit();
  if (!committed && !SEMPER_MUTANT("server_local_group_lost_and_believed")) {
    co_return fail(committed.error());
  }
  served_.counters().transactions.add();
  const bool has_casts = segments > 0 && !SEMPER_MUTANT("server_local_group_knows_who_was_sent_to");
  for (auto& member : members) member->took_effect = member->has_joined;
  for (auto& member : members) {
    if (!member->has_joined) continue;
    member->is_done = member->batch.joined_known(
        committed.value_or(Versionstamp()), member->effects,
        has_casts ? Batch::HasCasts::yes : Batch::HasCasts::no, member->outcome);
    member->is_concluded = true;
  }
  co_return Status{};
}

// Those that the transaction has room for. Returns the segments that their callbacks have sent.
Result<std::uint16_t> KnownGroup::join(Transaction& transaction, Version at,
                                       Members& members) const {
  std::uint16_t segments = 0;
  std::size_t joined = 0;
  const MonotonicTime until = core().clock().after(kGroupCallbackTime);
  for (auto& member : members) {
    const bool over = is_half_full(transaction) || segments > kSegmentsPerTransaction / 2 ||
                      (joined > 0 && core().clock().now() >= until);
    if (over || !member->batch.is_known_at(changes_, at)) continue;
    member->effects.sends.segments =
        SEMPER_MUTANT("server_local_group_numbers_begin_again") ? 0 : segments;
    // Where it does not return, its callbacks may have run.
    member->has_joined = !SEMPER_MUTANT("server_local_group_keeps_what_it_touched");
    SEMPER_TRY(member->has_joined, member->batch.join_known(transaction, member->effects));
    segments = member->effects.sends.segments;
    joined += member->has_joined ? 1 : 0;
  }
  return segments;
}

Async<void> KnownGroup::confirm(Members& members) const {
  Transaction now = core().store().begin();
  for (auto& member : members) {
    if (!member->has_joined) continue;
    SEMPER_CO_TRY(const bool is_current, co_await member->batch.confirm(now));
    if (!is_current) co_return fail(ErrorKind::conflict, "one of a group was changed");
  }
  for (auto& member : members) member->took_effect = member->has_joined;
  for (auto& member : members) {
    if (!member->has_joined) continue;
    member->is_done = member->batch.confirmed(member->effects, member->outcome);
    member->is_concluded = true;
  }
  co_return Status{};
}

void KnownGroup::undo(Members& members, const Error& error) const {
  if (error.kind() == ErrorKind::conflict) served_.counters().conflicts.add();
  for (auto& member : members) {
    if (!member->has_joined || member->is_concluded) continue;
    member->is_done = member->batch.undo_known(error);
  }
}

// All that have joined have taken effect, or none has; and nobody else.
void KnownGroup::check(const Members& members) {
  const bool took_effect = std::any_of(members.begin(), members.end(),
                                       [](const auto& member) { return member->took_effect; });
  for (const auto& member : members) {
    SEMPER_ASSERT(!member->took_effect || member->has_joined,
                  "only who joined a group is run by it");
    SEMPER_ASSERT(!took_effect || member->took_effect == member->has_joined,
                  "a group takes effect as a whole");
  }
}

}  // namespace semper::internal
