#include "server/serve/local_groups.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "server/format/enqueue.h"
#include "server/format/half_full.h"

namespace semper::internal {
namespace {

// Entities by which a group grows after one that went well.
constexpr std::size_t kGrowth = 4;

const RecentChanges* changes_for_groups(const ServedBehaviour& served) {
  const auto& core = served.core();
  const auto& backend = core.store().backend();
  const bool suits = core.options.threads == 1 && !served.behaviour().has_waiting_callbacks() &&
                     backend.traits().versions_are_commits &&
                     backend.limits().transaction_operations >= kGroupOperations;
  return suits ? find_recent_changes(core.store()) : nullptr;
}

}  // namespace

// What comes in one turn of a loop.
struct LocalGroups::Gathering {
  Executor executor;
  std::vector<Slot::Running> waiting;
  bool is_closed = false;
};

// Holds it until it is run. Where the loop goes before, the entities go on elsewhere.
class LocalGroups::Gathered {
 public:
  Gathered(std::shared_ptr<LocalGroups> groups, std::shared_ptr<Gathering> gathering)
      : groups_(std::move(groups)), gathering_(std::move(gathering)) {}
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;
  ~Gathered() { take(); }

  const Executor& executor() const { return gathering_->executor; }
  std::vector<Slot::Running> take() { return groups_->close(gathering_); }

 private:
  const std::shared_ptr<LocalGroups> groups_;
  const std::shared_ptr<Gathering> gathering_;
};

// An entity whose turn a group has.
struct LocalGroups::Member {
  Member(Slot::Running of, std::vector<Operation> operations)
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

LocalGroups::LocalGroups(std::shared_ptr<const ServedBehaviour> served)
    : served_(std::move(served)), changes_(changes_for_groups(*served_)) {}

void LocalGroups::add(Slot::Running running, const Executor& executor) {
  const void* const loop = context_of(executor);
  std::shared_ptr<Gathering> fresh;
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<Gathering> gathering;
    for (const auto& entry : open_) {
      if (entry.first != loop) continue;
      auto open = entry.second.lock();
      if (open && is_of(*open, executor)) gathering = std::move(open);
    }
    if (!gathering) {
      std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
      fresh = std::make_shared<Gathering>();
      fresh->executor = executor;
      open_.emplace_back(loop, fresh);
      gathering = fresh;
    }
    gathering->waiting.push_back(std::move(running));
    if (gathering->waiting.size() >= most_) {
      end(gathering);
    }
  }
  if (!fresh) return;
  auto gathered = std::make_shared<Gathered>(shared_from_this(), std::move(fresh));
  // Later, so that what comes in this turn of the loop is in it.
  asio::post(executor, [self = shared_from_this(), gathered = std::move(gathered)]() mutable {
    const Executor here = gathered->executor();
    asio::co_spawn(here, run(std::move(self), std::move(gathered)), asio::detached);
  });
}

// A strand may be blocked while others of its loop run.
bool LocalGroups::is_of(const Gathering& gathering, const Executor& executor) {
  return gathering.executor == executor || SEMPER_MUTANT("server_local_group_of_all_strands");
}

// Those of other loops are left alone: what they hold may go with them at any time.
void LocalGroups::end(const std::shared_ptr<Gathering>& gathering) {
  if (std::exchange(gathering->is_closed, true)) return;
  std::erase_if(open_, [&](const auto& entry) {
    return !entry.second.owner_before(gathering) && !gathering.owner_before(entry.second);
  });
}

std::vector<Slot::Running> LocalGroups::close(const std::shared_ptr<Gathering>& gathering) {
  std::lock_guard lock(mutex_);
  end(gathering);
  return std::move(gathering->waiting);
}

Task<void> LocalGroups::run(std::shared_ptr<LocalGroups> self, std::shared_ptr<Gathered> gathered) {
  const Executor executor = gathered->executor();
  auto waiting = gathered->take();
  gathered.reset();
  if (waiting.size() == 1) co_return co_await Slot::run(std::move(waiting.front()));
  Members members;
  members.reserve(waiting.size());
  for (auto& running : waiting) {
    auto operations = running.slot()->take_for_local_group(running);
    if (operations) {
      members.push_back(std::make_unique<Member>(std::move(running), std::move(*operations)));
    } else {
      asio::co_spawn(executor, Slot::run(std::move(running)), asio::detached);
    }
  }
  waiting.clear();
  if (members.size() > 1) {
    Status status;
    try {
      status = co_await self->attempt(members);
    } catch (...) {  // memory that ran out, before the commit or after it
      const Error why =
          exception_error("a group of " + self->served_->type(), std::current_exception());
      status = fail(ErrorKind::outcome_unknown, why.message());
    }
    if (status) check(members);
    if (!status) self->undo(members, status.error());
    self->learn(status.has_value());
  }
  for (auto& member : members) self->leave(std::move(member), executor);
}

Task<void> LocalGroups::run_alone(std::unique_ptr<Member> member) {
  co_await Slot::run_begun(member->running, member->batch);
  Slot::Running running(std::move(member->running));
  member.reset();
  co_await Slot::run(std::move(running));
}

void LocalGroups::leave(std::unique_ptr<Member> member, const Executor& executor) {
  if (!member->is_done) {
    asio::co_spawn(executor, run_alone(std::move(member)), asio::detached);
    return;
  }
  auto rest = Slot::leave_local_group(std::move(member->running), member->outcome);
  if (rest) add(std::move(*rest), executor);
}

// One transaction. Where it fails, none of the members has anything of it.
Async<void> LocalGroups::attempt(Members& members) {
  TransactionOptions options;
  options.read_version = changes_->newest_known();
  if (!options.read_version) co_return fail(ErrorKind::conflict, "nothing is known of changes");
  Transaction transaction = core().store().begin(options);
  std::uint16_t segments = 0;
  std::size_t joined = 0;
  const MonotonicTime until = core().clock().after(kGroupCallbackTime);
  for (auto& member : members) {
    const bool over = is_half_full(transaction) || segments > kSegmentsPerTransaction / 2 ||
                      (joined > 0 && core().clock().now() >= until);
    if (over || !member->batch.is_known_at(*changes_, *options.read_version)) continue;
    member->effects.sends.segments =
        SEMPER_MUTANT("server_local_group_numbers_begin_again") ? 0 : segments;
    // Where it does not return, its callbacks may have run.
    member->has_joined = !SEMPER_MUTANT("server_local_group_keeps_what_it_touched");
    SEMPER_CO_TRY(member->has_joined, member->batch.join_known(transaction, member->effects));
    segments = member->effects.sends.segments;
    joined += member->has_joined ? 1 : 0;
  }
  if (joined == 0) co_return Status{};
  if (transaction.operation_count() == 0) co_return co_await confirm(members);
  for (auto& member : members) {
    if (member->effects.sends.spans) member->effects.commit_began = core().clock().now();
  }
  auto committed = co_await transaction.commit();
  if (!committed && !SEMPER_MUTANT("server_local_group_lost_and_believed")) {
    co_return fail(committed.error());
  }
  served_->counters().transactions.add();
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

Async<void> LocalGroups::confirm(Members& members) {
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

void LocalGroups::undo(Members& members, const Error& error) {
  if (error.kind() == ErrorKind::conflict) served_->counters().conflicts.add();
  for (auto& member : members) {
    if (!member->has_joined || member->is_concluded) continue;
    member->is_done = member->batch.undo_known(error);
  }
}

// All that have joined have taken effect, or none has; and nobody else.
void LocalGroups::check(const Members& members) {
  const bool took_effect = std::any_of(members.begin(), members.end(),
                                       [](const auto& member) { return member->took_effect; });
  for (const auto& member : members) {
    SEMPER_ASSERT(!member->took_effect || member->has_joined,
                  "only who joined a group is run by it");
    SEMPER_ASSERT(!took_effect || member->took_effect == member->has_joined,
                  "a group takes effect as a whole");
  }
}

void LocalGroups::learn(bool went_well) {
  std::lock_guard lock(mutex_);
  most_ = went_well ? std::min(most_ + kGrowth, kLocalGroupEntities)
                    : std::max<std::size_t>(most_ / 2, 2);
  SEMPER_ASSERT(most_ >= 2 && most_ <= kLocalGroupEntities,
                "a group is of two or more, up to its bound");
}

}  // namespace semper::internal
