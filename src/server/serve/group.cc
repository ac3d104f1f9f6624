#include "server/serve/group.h"

#include <algorithm>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "server/format/enqueue.h"
#include "server/format/half_full.h"

namespace semper::internal {
namespace {

// Entities by which a group grows after one that went well.
constexpr std::size_t kGroupGrowth = 4;

bool is_for_groups(const ServedBehaviour& served) {
  const auto& core = served.core();
  const auto& backend = core.store().backend();
  // Of a type with a rate, each has so many messages as there are tokens for it.
  return core.options.threads == 1 && !served.has_rate() && served.message_attempts() > 1 &&
         backend.traits().versions_are_commits &&
         backend.limits().transaction_operations >= kGroupOperations;
}

}  // namespace

// An entity whose turn a group has.
struct Groups::Member {
  Member(Slot::Running of, HandedTicks with)
      : running(std::move(of)),
        batch(running.slot()->batch_for_group(running)),
        handed(std::move(with)) {
    if (handed.ticks) effects.due = &handed.ticks->entries;
  }

  Slot::Running running;
  Batch batch;
  HandedTicks handed;
  AttemptEffects effects;
  bool has_joined = false;
  bool is_done = false;
  bool is_for_next = false;  // there was no room left, or no time
  BatchOutcome outcome;
};

// One of the coroutines that run groups. Ends also where its loop is destroyed.
class Groups::Running {
 public:
  Running(std::shared_ptr<Groups> groups, Gate::Holder inside)
      : groups_(std::move(groups)), inside_(std::move(inside)) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    std::lock_guard lock(groups_->mutex_);
    if (!is_over) --groups_->running_;
  }

  Groups& groups() const { return *groups_; }
  bool is_over = false;  // it is not counted any more

 private:
  const std::shared_ptr<Groups> groups_;
  const Gate::Holder inside_;
};

Groups::Groups(std::shared_ptr<const ServedBehaviour> served)
    : served_(std::move(served)), suits_(is_for_groups(*served_)) {}

void Groups::add(std::shared_ptr<Slot> slot, Version seen_at, std::shared_ptr<Permit> permit) {
  if (!suits_) return slot->notice_queue(seen_at, std::move(permit));
  add(Waiting{std::move(slot), seen_at, std::move(permit)});
}

std::size_t Groups::room_for_ticks() {
  if (!suits_) return 0;
  std::lock_guard lock(mutex_);
  if (most_ >= kGroupOfTicks) return ~std::size_t{0};
  // After trouble a few try, and the others do not wait for them.
  return most_ - std::min(most_, waiting_.size());
}

void Groups::add(std::shared_ptr<Slot> slot, HandedTicks ticks) {
  add(Waiting{std::move(slot), 0, nullptr, std::move(ticks)});
}

void Groups::add(Waiting waiting) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(waiting));
    SEMPER_ASSERT(running_ <= kGroupsAtOnce, "as many groups run as may");
    if (running_ >= kGroupsAtOnce) return;
    ++running_;
  }
  auto inside = core().gate.enter();
  if (!inside) {  // the host stops: what waits here stays in the store
    {
      std::lock_guard lock(mutex_);
      --running_;
    }
    return clear();
  }
  auto running = std::make_shared<Running>(shared_from_this(), std::move(*inside));
  // Later, so that what the scanners find in this round of the loop is in it.
  core().home.post([running = std::move(running)] {
    asio::co_spawn(running->groups().core().home.executor(), run(running), asio::detached);
  });
}

void Groups::clear() {
  std::deque<Waiting> dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(waiting_);
}

Task<void> Groups::run(std::shared_ptr<Running> running) {
  Groups& groups = running->groups();
  while (true) {
    if (groups.core().stopping.stop_requested()) groups.clear();  // it stays in the store
    std::vector<Waiting> waiting;
    {
      std::lock_guard lock(groups.mutex_);
      if (groups.waiting_.empty()) {
        --groups.running_;
        running->is_over = true;
      } else {
        waiting = groups.take();
      }
    }
    if (running->is_over) co_return;
    auto members = join(std::move(waiting));
    if (!members.empty()) co_await groups.run_together(std::move(members));
    co_await asio::post(asio::use_awaitable);
  }
}

std::vector<Groups::Waiting> Groups::take() {
  const std::size_t count = std::min(waiting_.size(), most_);
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Waiting> taken(std::make_move_iterator(waiting_.begin()),
                             std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return taken;
}

Groups::Members Groups::join(std::vector<Waiting> waiting) {
  Members members;
  members.reserve(waiting.size());
  for (auto& one : waiting) {
    auto running = one.handed.ticks ? one.slot->join_group_with_ticks()
                                    : one.slot->join_group(one.seen_at, std::move(one.permit));
    if (!running) continue;
    members.push_back(std::make_unique<Member>(std::move(*running), std::move(one.handed)));
  }
  return members;
}

Task<void> Groups::run_together(Members members) {
  // One alone is its slot's to run, but for ticks, which no slot knows of.
  const bool is_group = members.size() > 1 || members.front()->handed.ticks;
  if (is_group) {
    Status status;
    try {
      status = co_await attempt(members);
    } catch (...) {  // memory that ran out
      status = fail(exception_error("a group of " + served_->type(), std::current_exception()));
    }
    learn(status.has_value());
    for (auto& member : members) member->is_for_next = member->is_for_next && status;
    if (status) check(members);
    if (!status && status.error().kind() == ErrorKind::conflict) {
      served_->counters().conflicts.add();
    }
  }
  for (auto& member : members) {
    if (member->has_joined && !member->is_done) member->batch.not_joined();
  }
  for (auto& member : members) leave(*member);
}

void Groups::leave(Member& member) {
  const auto slot = member.running.slot();
  // What came for ticks, and has not delivered them, has nothing to do with the queue.
  const bool is_seen_to = member.is_done || member.handed.ticks;
  Slot::leave_group(std::move(member.running), member.outcome, is_seen_to);
  if (member.handed.ticks && member.is_for_next) add(slot, std::move(member.handed));
}

// All that have joined are done, or none is; and nobody else.
void Groups::check(const Members& members) {
  const bool is_done = std::any_of(members.begin(), members.end(),
                                   [](const auto& member) { return member->is_done; });
  for (const auto& member : members) {
    SEMPER_ASSERT(!member->is_done || member->has_joined, "only who joined a group is done by it");
    SEMPER_ASSERT(!is_done || member->is_done == member->has_joined,
                  "a group takes effect as a whole");
  }
}

// One transaction. All that have joined are done then, or none is.
Async<void> Groups::attempt(Members& members) {
  Transaction transaction = core().store().begin();
  for (auto& member : members) {
    SEMPER_CO_TRY(member->has_joined, co_await member->batch.look(transaction, member->effects));
    if (member->has_joined) member->batch.vacate(transaction);
  }
  std::uint16_t segments = 0;
  std::size_t joined = 0;
  const MonotonicTime until = core().clock().after(kGroupCallbackTime);
  for (auto& member : members) {
    if (!member->has_joined) continue;
    const bool over = is_half_full(transaction) || segments > kSegmentsPerTransaction / 2 ||
                      (joined > 0 && core().clock().now() >= until);
    bool has_joined = false;
    member->is_for_next = over;
    member->effects.sends.segments =
        SEMPER_MUTANT("server_group_numbers_begin_again") ? 0 : segments;
    if (!over) {
      SEMPER_CO_TRY(has_joined, co_await member->batch.join(transaction, member->effects));
      segments = member->effects.sends.segments;
    }
    if (!has_joined || !member->effects.vacated) member->batch.keep_index(transaction);
    if (!has_joined) member->batch.not_joined();
    member->has_joined = has_joined;
    joined += has_joined ? 1 : 0;
  }
  if (joined == 0) co_return Status{};
  for (auto& member : members) {
    if (member->effects.sends.spans) member->effects.commit_began = core().clock().now();
  }
  auto committed = co_await transaction.commit();
  if (!committed && !SEMPER_MUTANT("server_group_lost_and_believed")) {
    co_return fail(committed.error());
  }
  served_->counters().transactions.add();
  const auto has_casts = segments > 0 ? Batch::HasCasts::yes : Batch::HasCasts::no;
  for (auto& member : members) {
    if (!member->has_joined) continue;
    member->outcome =
        member->batch.joined(committed.value_or(Versionstamp()), member->effects, has_casts);
    member->is_done = true;
    if (!member->handed.ticks) continue;
    member->handed.ticks->delivered = member->effects.ticks_run;
    served_->counters().ticks.add(member->effects.ticks_run);
  }
  co_return Status{};
}

void Groups::learn(bool went_well) {
  std::lock_guard lock(mutex_);
  most_ = went_well ? std::min(most_ + kGroupGrowth, kGroupEntities)
                    : std::max<std::size_t>(most_ / 2, 2);
  SEMPER_ASSERT(most_ >= 2 && most_ <= kGroupEntities,
                "a group is of two or more, up to its bound");
}

}  // namespace semper::internal
