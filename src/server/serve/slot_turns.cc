// The part of a Slot that says who runs, and where.
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/serve/slot.h"

namespace semper::internal {
namespace {

Error lost_answer(const char* why) {
  return Error(ErrorKind::outcome_unknown,
               std::string(why) + "; the message may have been processed");
}

}  // namespace

bool Slot::has_turn(std::uint64_t turn) const {
  std::lock_guard lock(mutex_);
  return turn_ == turn;
}

bool Slot::is_borrowed() const {
  return running_ && loop_ != core().home.context();
}

std::uint64_t Slot::begin_turn(Loop where) {
  running_ = true;
  loop_ = where.context();
  where_ = std::move(where);
  waiting_there_ = 0;
  for (const auto& operation : mailbox_) waiting_there_ += operation.loop == loop_ ? 1 : 0;
  for (const auto& operation : priority_) waiting_there_ += operation.loop == loop_ ? 1 : 0;
  return ++turn_;
}

// An operation that is taken from the slot.
void Slot::hold_answer(const Operation& operation) {
  if (operation.loop == loop_) {
    --waiting_there_;
  } else if (is_borrowed()) {
    // A batch that waits long may answer any number of priority messages meanwhile.
    const bool is_full = in_hand_.size() == in_hand_.capacity();
    if (is_full && in_hand_.size() >= kInHandAnswered) {
      std::erase_if(in_hand_, [](const auto& done) { return done.is_set(); });
    }
    in_hand_.push_back(operation.done);
  }
}

bool Slot::enter_callbacks(Desk& desk, std::uint64_t turn) {
  std::lock_guard lock(mutex_);
  if (turn_ != turn) return false;
  desk.in_callbacks.store(true, std::memory_order_relaxed);
  return true;
}

void Slot::keep(std::uint64_t turn, std::shared_ptr<Permit> to_run_alone) {
  std::lock_guard lock(mutex_);
  if (turn_ == turn) alone_.swap(to_run_alone);
}

void Slot::give_back(std::vector<Operation> operations) {
  std::uint64_t started = 0;
  {
    std::lock_guard lock(mutex_);
    for (auto& operation : operations) {
      if (operation.done.is_set()) continue;  // its caller was told
      if (running_ && operation.loop == loop_) ++waiting_there_;
      if (operation.is_priority) {
        priority_.push_back(std::move(operation));
      } else {
        mailbox_.push_back(std::move(operation));
      }
    }
    const bool waits = !mailbox_.empty() || !priority_.empty();
    if (waits && !running_) started = begin_turn(core().home);
  }
  if (started != 0) start_at_home(Running(shared_from_this(), started));
}

void Slot::give_back(Operation operation) {
  std::vector<Operation> one;
  one.push_back(std::move(operation));
  give_back(std::move(one));
}

// Where the host has ended, the turn does too.
bool Slot::enter_gate(std::uint64_t turn) {
  auto inside = core().gate.enter();
  if (!inside) return false;
  std::lock_guard lock(mutex_);
  if (turn_ == turn && !inside_) inside_ = std::move(*inside);
  return true;
}

void Slot::start(std::uint64_t turn, const Executor& executor, Along along) {
  Running running(shared_from_this(), turn);
  if (!enter_gate(turn)) return;
  if (along == Along::others && owner_->gather(running, executor)) return;
  asio::co_spawn(executor, run(std::move(running)), asio::detached);
}

void Slot::start_at_home(Running running) {
  auto moved = std::make_shared<Running>(std::move(running));
  bool is_inside = false;
  {
    std::lock_guard lock(mutex_);
    is_inside = inside_.has_value();
  }
  if (!is_inside && !enter_gate(moved->turn())) return;
  core().home.spawn([moved] { return run(std::move(*moved)); });
}

// The turn has ended before its work. What was in hand then has an unknown outcome; what waits goes
// on at the host, or nowhere where that is where it ended.
void Slot::pass_on(std::uint64_t turn, Lost how) {
  if (SEMPER_MUTANT("server_work_goes_with_its_loop")) return;
  std::vector<OneShot<Result<Bytes>>> lost;
  std::vector<Operation> orphans;
  std::shared_ptr<Permit> permits[2];  // given back without the lock
  std::optional<Gate::Holder> inside;
  std::uint64_t next = 0;
  {
    std::lock_guard lock(mutex_);
    if (!running_ || turn_ != turn) return;
    if (how == Lost::silent && desk_->in_callbacks.load(std::memory_order_relaxed)) return;
    lost.swap(in_hand_);
    desk_ = std::make_shared<Desk>(target_);
    pausing_.reset();
    permits[0].swap(alone_);
    if (is_borrowed() && inside_) {
      queue_noticed_ = served_->consumes();
      noticed_at_ = kUnknownVersion;
      next = begin_turn(core().home);
    } else {
      orphans.swap(mailbox_);
      for (auto& operation : priority_) orphans.push_back(std::move(operation));
      priority_.clear();
      running_ = false;
      ++turn_;
      where_ = Loop();
      permits[1].swap(permit_);
      inside.swap(inside_);
    }
  }
  const char* why = how == Lost::silent ? "the loop that ran the entity does not run any more"
                                        : "the loop that ran the entity was stopped";
  for (auto& done : lost) done.set(fail(lost_answer(why)));
  for (auto& operation : orphans) operation.done.set(fail(ErrorKind::closed, why));
  if (next != 0) start_at_home(Running(shared_from_this(), next));
}

// One at a time for a slot, while its runner is on a loop that is not the host's.
bool Slot::wants_watch() {
  return is_borrowed() && !std::exchange(watched_, true);
}

void Slot::begin_watch() {
  core().home.spawn([self = shared_from_this()] { return watch(self); });
}

void Slot::expect_end() {
  bool watch = false;
  std::optional<OneShot<std::monostate>> paused;
  {
    std::lock_guard lock(mutex_);
    watch = wants_watch();
    paused = pausing_;
  }
  if (paused) paused->set({});
  if (watch) begin_watch();
}

Task<void> Slot::watch(std::shared_ptr<Slot> self) {
  Clock& clock = self->core().clock();
  LoopWatch watch;
  while (true) {
    static_cast<void>(co_await sleep_for(clock, kLoopPatience));
    Loop loop;
    std::uint64_t turn = 0;
    bool is_busy = false;
    {
      std::lock_guard lock(self->mutex_);
      if (!self->is_borrowed()) {
        self->watched_ = false;
        co_return;
      }
      loop = self->where_;
      turn = self->turn_;
      is_busy = self->desk_->in_callbacks.load(std::memory_order_relaxed);
    }
    if (is_busy) {
      watch = LoopWatch();
    } else if (watch.is_dead(loop, turn)) {
      self->pass_on(turn, Lost::silent);
    }
  }
}

}  // namespace semper::internal
