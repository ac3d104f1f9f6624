#include "server/serve/slot.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/serve/priority.h"

namespace semper::internal {

namespace {

// Batches and priority messages of one runner in a row, after which others on its thread have a
// turn: a store that answers at once would let it go on for as long as its queue does.
constexpr int kRoundsPerYield = 16;

// A host that stops ends pauses that have more than this to go; it takes those between conflicts.
constexpr Duration kPauseWhileStopping = std::chrono::milliseconds(20);

// The first `most` of what waits.
std::vector<Operation> take_some(std::vector<Operation>& waiting, std::size_t most) {
  if (waiting.size() <= most) {
    std::vector<Operation> all;
    all.reserve(waiting.size());  // those that are answered come back, as many
    all.swap(waiting);
    return all;
  }
  const auto end = waiting.begin() + static_cast<std::ptrdiff_t>(most);
  std::vector<Operation> taken(std::make_move_iterator(waiting.begin()),
                               std::make_move_iterator(end));
  waiting.erase(waiting.begin(), end);
  return taken;
}

}  // namespace

// What the runner does next.
struct Slot::Round {
  enum class What : std::uint8_t { batch, priority, withdrawal, leaves, over };
  What what = What::over;
  std::vector<Operation> operations;
  bool noticed = false;
  std::optional<Operation> urgent;
  bool gives_way = false;
  std::optional<Running> next;  // `leaves`: goes on with the work
  // Given back without the lock.
  std::shared_ptr<Permit> permit;
  std::shared_ptr<Permit> alone;
  std::optional<Gate::Holder> inside;
};

Slot::Slot(std::shared_ptr<SlotOwner> owner, std::shared_ptr<const ServedBehaviour> served,
           std::shared_ptr<const Target> target)
    : owner_(std::move(owner)),
      served_(std::move(served)),
      target_(std::move(target)),
      desk_(std::make_shared<Desk>(target_)) {}

bool Slot::is_idle() const {
  std::lock_guard lock(mutex_);
  return rests();
}

bool Slot::attends_lock() const {
  std::lock_guard lock(mutex_);
  return lock_attended_;
}

bool Slot::has_permit() const {
  std::lock_guard lock(mutex_);
  return permit_ != nullptr;
}

Status Slot::submit(Operation&& operation, const Executor& executor) {
  std::uint64_t started = 0;
  bool watch = false;
  std::optional<OneShot<std::monostate>> to_wake;
  operation.loop = context_of(executor);
  const Loop& home = core().home;
  // A callback that waits keeps its turn meanwhile, and would for ever where its loop does not run
  // any more.
  const bool at_home = served_->behaviour().has_waiting_callbacks() &&
                       !SEMPER_MUTANT("server_waiting_callback_on_a_borrowed_loop");
  {
    std::lock_guard lock(mutex_);
    if (mailbox_.size() + priority_.size() >= kMailboxOperations) {
      return fail(ErrorKind::retry, Limit{"kMailboxOperations", kMailboxOperations},
                  target_->id.to_string() + " has " + std::to_string(kMailboxOperations) +
                      " operations waiting; slow down and try again");
    }
    if (!running_) {
      started = begin_turn(at_home ? home : Loop(executor));
    } else {
      watch = operation.loop != loop_ && wants_watch();
    }
    if (operation.loop == loop_) ++waiting_there_;
    if (operation.is_priority) {
      priority_.push_back(std::move(operation));
      to_wake.swap(pausing_);
    } else {
      mailbox_.push_back(std::move(operation));
    }
  }
  if (to_wake) to_wake->set({});
  if (watch) begin_watch();
  if (started == 0) return {};
  if (at_home && !home.runs_here()) {
    start_at_home(Running(shared_from_this(), started));
  } else {
    start(started, at_home ? home.executor() : executor, at_home ? Along::alone : Along::others);
  }
  return {};
}

bool Slot::is_news(Version seen_at) const {
  std::lock_guard lock(mutex_);
  if (SEMPER_MUTANT("server_news_taken_for_old")) return seen_at >= vacated_at_ + 8;
  return seen_at >= vacated_at_;
}

void Slot::notice_queue(Version seen_at, std::shared_ptr<Permit> permit) {
  const Loop& home = core().home;
  std::uint64_t started = 0;
  bool watch = false;
  {
    std::lock_guard lock(mutex_);
    if (seen_at < vacated_at_) return;
    if (permit && !permit_) {
      permit_ = std::move(permit);
      batches_ = 0;
    }
    queue_noticed_ = true;
    noticed_at_ = std::max(noticed_at_, seen_at);
    if (!running_) {
      started = begin_turn(home);
    } else {
      watch = wants_watch();
    }
  }
  if (watch) begin_watch();
  if (started == 0) return;
  if (home.runs_here()) {
    start(started, home.executor());
  } else {
    start_at_home(Running(shared_from_this(), started));
  }
}

Slot::Round Slot::next_round(Running& running, int& urgent_in_row) {
  Round round;
  const bool stopping = core().stopping.stop_requested();
  std::lock_guard lock(mutex_);
  if (turn_ != running.turn()) {
    running.finished();
    return round;
  }
  if (!running.desk()) running.use(desk_);
  in_hand_.clear();
  round.alone.swap(alone_);
  desk_->loop = loop_;
  desk_->leave_callbacks();
  cached_bytes_.store(desk_->entity.bytes(), std::memory_order_relaxed);
  const bool has_queue = queue_noticed_ && !stopping;
  round.gives_way = has_queue && permit_ && batches_ >= kBatchesPerTurn && permit_->is_wanted();
  if (round.gives_way) {
    queue_noticed_ = false;
    noticed_at_ = 0;
    round.permit = std::move(permit_);
  }
  const bool others = !mailbox_.empty() || (has_queue && !round.gives_way);
  const bool is_done = !others && priority_.empty();
  const bool withdraws = is_done && desk_->announced && !round.gives_way &&
                         !SEMPER_MUTANT("server_announcement_left_behind");
  if (is_done && !withdraws) {
    rest(running, round);
    return round;
  }
  if (is_borrowed() && waiting_there_ == 0) {
    const Loop& home = core().home;
    running.finished();
    round.what = Round::What::leaves;
    round.next.emplace(shared_from_this(), begin_turn(home));
    return round;
  }
  if (withdraws) {
    round.what = Round::What::withdrawal;
    return round;
  }
  if (!priority_.empty() && (urgent_in_row < kPriorityInRow || !others)) {
    round.what = Round::What::priority;
    round.urgent = std::move(priority_.front());
    priority_.pop_front();
    hold_answer(*round.urgent);
    ++urgent_in_row;
    return round;
  }
  urgent_in_row = 0;
  ++batches_;
  take_batch(round);
  return round;
}

void Slot::rest(Running& running, Round& round) {
  running_ = false;
  if (!round.gives_way) round.permit = std::move(permit_);
  round.inside = std::exchange(inside_, std::nullopt);
  where_ = Loop();
  running.finished();
}

std::optional<Slot::Running> Slot::join_group(Version seen_at, std::shared_ptr<Permit> permit) {
  std::uint64_t turn = 0;
  {
    std::lock_guard lock(mutex_);
    if (rests() && seen_at >= vacated_at_) {
      turn = begin_group_turn();
      if (permit && !permit_) permit_ = std::move(permit);
    }
  }
  if (turn == 0) {
    notice_queue(seen_at, std::move(permit));
    return std::nullopt;
  }
  return enter_group(turn);
}

std::optional<Slot::Running> Slot::join_group_with_ticks() {
  std::uint64_t turn = 0;
  {
    std::lock_guard lock(mutex_);
    if (!rests()) return std::nullopt;
    turn = begin_group_turn();
  }
  return enter_group(turn);
}

bool Slot::rests() const {
  return !running_ && mailbox_.empty() && priority_.empty() && !lock_attended_;
}

std::uint64_t Slot::begin_group_turn() {
  const std::uint64_t turn = begin_turn(core().home);
  batches_ = 1;
  queue_noticed_ = false;
  noticed_at_ = 0;
  desk_->loop = loop_;
  return turn;
}

std::optional<Slot::Running> Slot::enter_group(std::uint64_t turn) {
  Running running(shared_from_this(), turn);
  running.use(desk_);
  if (!enter_gate(turn)) return std::nullopt;
  return running;
}

Batch Slot::batch_for_group(Running& running) {
  return Batch(*served_, target_, *running.desk(), running, {}, Batch::Notice::queue);
}

void Slot::leave_group(Running running, BatchOutcome& outcome, bool is_done) {
  const std::shared_ptr<Slot> self = running.slot();
  self->settle(outcome, running.turn(), std::nullopt);  // no group takes a lock
  Round round;
  {
    std::lock_guard lock(self->mutex_);
    if (self->turn_ != running.turn()) return running.finished();
    if (!is_done && !SEMPER_MUTANT("server_group_forgets_who_was_undone")) {
      self->queue_noticed_ = true;
      self->noticed_at_ = kUnknownVersion;
    }
    self->desk_->leave_callbacks();
    self->cached_bytes_.store(self->desk_->entity.bytes(), std::memory_order_relaxed);
    const bool has_queue = self->queue_noticed_ && !self->core().stopping.stop_requested();
    if (!has_queue && self->mailbox_.empty() && self->priority_.empty()) {
      self->rest(running, round);
    }
  }
  if (round.inside) {
    self->owner_->rest(*self, self->cached_bytes());
  } else {
    asio::co_spawn(self->core().home.executor(), run(std::move(running)), asio::detached);
  }
}

std::optional<std::vector<Operation>> Slot::take_for_local_group(Running& running) {
  std::lock_guard lock(mutex_);
  const bool has_others = is_borrowed() && waiting_there_ == 0;
  const bool is_usual = turn_ == running.turn() && priority_.empty() && !mailbox_.empty() &&
                        !queue_noticed_ && !permit_ && !alone_ && !desk_->announced && !has_others;
  if (!is_usual) return std::nullopt;
  if (!running.desk()) running.use(desk_);
  in_hand_.clear();
  desk_->loop = loop_;
  cached_bytes_.store(desk_->entity.bytes(), std::memory_order_relaxed);
  ++batches_;
  Round round;
  take_batch(round);
  desk_->leave_callbacks();
  return std::move(round.operations);
}

Batch Slot::batch_for_local_group(Running& running, std::vector<Operation> operations) {
  return Batch(*served_, target_, *running.desk(), running, std::move(operations),
               Batch::Notice::none);
}

std::optional<Slot::Running> Slot::leave_local_group(Running running, BatchOutcome& outcome) {
  const std::shared_ptr<Slot> self = running.slot();
  self->settle(outcome, running.turn(), std::nullopt);  // no group takes a lock
  Round round;
  {
    std::lock_guard lock(self->mutex_);
    if (self->turn_ != running.turn()) {
      running.finished();
      return std::nullopt;
    }
    self->in_hand_.clear();
    self->desk_->leave_callbacks();
    self->cached_bytes_.store(self->desk_->entity.bytes(), std::memory_order_relaxed);
    const bool has_queue = self->queue_noticed_ && !self->core().stopping.stop_requested();
    const bool is_done = !has_queue && self->mailbox_.empty() && self->priority_.empty();
    if (!is_done || self->desk_->announced) return running;
    self->rest(running, round);
  }
  self->owner_->rest(*self, self->cached_bytes());
  return std::nullopt;
}

Task<void> Slot::run_begun(Running& running, Batch& batch) {
  const std::shared_ptr<Slot> self = running.slot();
  BatchOutcome outcome = co_await batch.run();
  if (outcome.lock) {
    co_await self->settle_lock(std::move(outcome), running.turn());
  } else {
    self->settle(outcome, running.turn(), std::nullopt);
  }
}

void Slot::take_batch(Round& round) {
  round.what = Round::What::batch;
  round.operations = take_some(mailbox_, core().options.batch_messages);
  round.noticed = std::exchange(queue_noticed_, false);
  noticed_at_ = 0;
  // Mostly all are of the runner's own loop.
  if (priority_.empty() && mailbox_.empty() && waiting_there_ == round.operations.size()) {
    waiting_there_ = 0;
  } else {
    for (const auto& operation : round.operations) hold_answer(operation);
  }
  desk_->in_callbacks.store(true, std::memory_order_relaxed);
}

Task<void> Slot::run(Running running) {
  const std::shared_ptr<Slot> self = running.slot();
  int urgent_in_row = 0;
  for (int rounds = 1;; ++rounds) {
    Round round = self->next_round(running, urgent_in_row);
    round.alone.reset();
    round.permit.reset();
    if (round.gives_way) self->owner_->leave_over(shard_of(self->target_->id.id));
    if (round.what == Round::What::leaves) {
      self->start_at_home(std::move(*round.next));
      co_return;
    }
    if (round.what == Round::What::over) {
      if (round.inside) self->owner_->rest(*self, self->cached_bytes());
      co_return;
    }
    Desk& desk = *running.desk();
    if (round.what == Round::What::withdrawal) {
      static_cast<void>(co_await withdraw_announcement(self->core(), *self->target_, desk));
    } else if (round.urgent) {
      auto& urgent = *round.urgent;
      const bool ran = co_await run_priority(*self->served_, *self->target_, desk, running, urgent);
      if (!ran) self->give_back(std::move(urgent));
    } else {
      if (round.operations.empty() && desk.empty_looks > 0) {
        desk.leave_callbacks();
        static_cast<void>(co_await self->pause(running, kEmptyPause));
      }
      Batch batch(*self->served_, self->target_, desk, running, std::move(round.operations),
                  round.noticed ? Batch::Notice::queue : Batch::Notice::none);
      BatchOutcome outcome = co_await batch.run();
      if (outcome.lock) {
        co_await self->settle_lock(std::move(outcome), running.turn());
      } else {
        self->settle(outcome, running.turn(), std::nullopt);
      }
    }
    if (rounds % kRoundsPerYield == 0) co_await asio::post(asio::use_awaitable);
  }
}

Task<void> Slot::settle_lock(BatchOutcome outcome, std::uint64_t turn) {
  std::optional<Gate::Holder> for_lock;
  if (auto entered = core().gate.enter()) for_lock = std::move(*entered);
  if (!for_lock && !SEMPER_MUTANT("server_stopped_host_leaves_its_new_lock")) {
    // Nobody enters a host that stops. This runner is inside.
    co_await attend_here(std::move(*outcome.lock));
    outcome.lock.reset();
  }
  settle(outcome, turn, std::move(for_lock));
}

void Slot::settle(BatchOutcome& outcome, std::uint64_t turn, std::optional<Gate::Holder> inside) {
  if (!outcome.undone.empty()) give_back(std::move(outcome.undone));
  {
    std::lock_guard lock(mutex_);
    vacated_at_ = std::max(vacated_at_, outcome.vacated_at);
    // Whoever read the index before that commit, and told of it meanwhile, saw what this batch has
    // done.
    if (noticed_at_ < vacated_at_) queue_noticed_ = false;
    if (outcome.look_again && turn_ == turn) {
      queue_noticed_ = true;
      noticed_at_ = kUnknownVersion;
    }
  }
  if (outcome.is_locked_by_others) attend_lock(std::nullopt, std::nullopt);
  // Where the turn is over, whoever runs now finds the lock, and waits for its lease.
  if (outcome.lock && has_turn(turn)) attend_lock(std::move(*outcome.lock), std::move(inside));
}

std::optional<Operation> Slot::take_priority(std::uint64_t turn) {
  std::lock_guard lock(mutex_);
  if (turn_ != turn) return std::nullopt;
  pausing_.reset();
  if (priority_.empty()) {
    pausing_.emplace();
    return std::nullopt;
  }
  std::optional<Operation> first = std::move(priority_.front());
  priority_.pop_front();
  hold_answer(*first);
  return first;
}

Async<void> Slot::pause(Running& running, Duration duration) {
  const std::uint64_t turn = running.turn();
  auto& clock = core().clock();
  const MonotonicTime end = clock.after(duration);
  while (true) {
    auto urgent = take_priority(turn);
    if (urgent) {
      const bool ran = co_await run_priority(*served_, *target_, *running.desk(), running, *urgent);
      if (!ran) give_back(std::move(*urgent));
      if (clock.now() >= end) co_return Status{};
      continue;
    }
    OneShot<std::monostate> news;
    {
      std::lock_guard lock(mutex_);
      if (turn_ != turn) co_return Status{};
      if (!pausing_) continue;  // one has just come
      if (core().stopping.stop_requested() && end - clock.now() > kPauseWhileStopping &&
          !SEMPER_MUTANT("server_stop_waits_for_a_message_that_fails")) {
        pausing_.reset();
        co_return Status{};
      }
      news = *pausing_;
    }
    const auto came = co_await news.wait_until(clock, end);
    if (came) continue;
    {
      std::lock_guard lock(mutex_);
      if (turn_ == turn) pausing_.reset();
    }
    if (came.error().kind() == ErrorKind::timeout) co_return Status{};
    co_return fail(came.error());
  }
}

// The mark that this process attends to the lock.
class Slot::Attending {
 public:
  explicit Attending(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  Attending(const Attending&) = delete;
  Attending& operator=(const Attending&) = delete;
  ~Attending() {
    {
      std::lock_guard lock(slot_->mutex_);
      slot_->lock_attended_ = false;
    }
    slot_->notice_queue(kUnknownVersion);
  }

 private:
  std::shared_ptr<Slot> slot_;
};

void Slot::attend_lock(std::optional<HeldLock> held, std::optional<Gate::Holder> inside) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(lock_attended_, true) && !held) return;
  }
  // Shared, as a holder is not copied.
  const auto with = std::make_shared<std::optional<Gate::Holder>>(std::move(inside));
  core().home.spawn([self = shared_from_this(), held = std::move(held), with] {
    return attend(self, held, std::move(*with));
  });
}

Task<void> Slot::attend(std::shared_ptr<Slot> self, std::optional<HeldLock> held,
                        std::optional<Gate::Holder> inside) {
  if (!inside) {
    if (auto entered = self->core().gate.enter()) inside = std::move(*entered);
  }
  // Left before what it is of goes: the parameters go in any order.
  const std::optional<Gate::Holder> until_the_end = std::move(inside);
  if (!until_the_end) co_return;
  const Attending attending(self);
  const auto task = std::make_shared<LockedTask>(self->served_, self->target_);
  co_await task->run(std::move(held));
}

Task<void> Slot::attend_here(HeldLock held) {
  const auto task = std::make_shared<LockedTask>(served_, target_);
  co_await task->run(std::move(held));
}

}  // namespace semper::internal
