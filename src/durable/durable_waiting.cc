// Callers that find nothing usable: who joins or begins an attempt, who waits for the end of a
// pause, and who goes on from one attempt to the next.
#include <algorithm>
#include <string>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/durable/internal/durable_core.h"

namespace semper::internal {
namespace {

// From a failure to the next attempt of a call that waits, where nothing else says how long: there
// are no pauses, or builders that were given up still run.
constexpr auto kLookAgain = std::chrono::milliseconds(100);

const void* loop_of(const Executor& executor) {
  return &asio::query(executor, asio::execution::context_as<asio::execution_context&>);
}

}  // namespace

// Takes a caller out of those who wait, however its wait ends, its coroutine destroyed included.
class DurableCore::Leave {
 public:
  Leave(DurableCore& core, std::uint64_t number) : core_(core), number_(number) {}
  Leave(const Leave&) = delete;
  Leave& operator=(const Leave&) = delete;
  ~Leave() {
    std::lock_guard lock(core_.mutex_);
    core_.paused_.erase(number_);
    if (core_.attempt_) core_.attempt_->waiters.erase(number_);
  }

 private:
  DurableCore& core_;
  const std::uint64_t number_;
};

Async<HeldPointer> DurableCore::heal(HeldPointer seen, Call call, MonotonicTime not_before) {
  Executor executor = settings_.executor;
  if (!executor) executor = co_await asio::this_coro::executor;
  const std::weak_ptr<HeldBase> found_broken = seen;
  seen = nullptr;  // who waits does not keep what is replaced
  while (true) {
    OneShot<Outcome> answer;
    Search search;
    HeldPointer still = found_broken.lock();  // may be the last share: it goes without the lock
    {
      std::lock_guard lock(mutex_);
      search = search_value(still, call, not_before, answer);
      if (search.begun) search.begun->loop = loop_of(executor);
    }
    still = nullptr;
    deliver();
    search.replaced = nullptr;
    if (search.begun) start(std::exchange(search.begun, nullptr), executor);
    if (search.found) co_return std::move(search.found);
    if (search.refused) co_return fail(std::move(*search.refused));
    const Leave leave(*this, search.number);
    auto waited = co_await wait_for_answer(search.number, answer, search.pause_ends, call.deadline);
    if (!waited) continue;
    auto& answered = *waited;
    if (!answered || !*answered) log_.deliver();  // what the clock's thread noted
    if (answered && *answered && !**answered) continue;
    if (answered) co_return std::move(*answered);
    if (answered.error().kind() == ErrorKind::timeout) co_return fail(passed_deadline());
    co_return fail(answered.error().kind(), settings_.name + ": the wait for the attempt ended");
  }
}

Task<std::optional<Result<DurableCore::Outcome>>> DurableCore::wait_for_answer(
    std::uint64_t caller, OneShot<Outcome> answer, MonotonicTime pause_ends,
    MonotonicTime deadline) {
  const void* const own_loop = loop_of(co_await asio::this_coro::executor);
  std::optional<Result<Outcome>> answered;
  while (true) {
    MonotonicTime until = std::min(pause_ends, deadline);
    const bool looks = pause_ends == kNever && !is_built_on(own_loop);
    if (looks) until = std::min(until, clock().after(kStoppedLoopLook));
    answered.emplace(co_await answer.wait_until(clock(), until));
    const bool is_due = !*answered && answered->error().kind() == ErrorKind::timeout;
    if (!is_due || until == deadline) co_return answered;
    if (is_paused(caller)) {
      answered.reset();
      co_return answered;
    }
    pause_ends = kNever;  // an attempt was begun meanwhile
    if (looks) abandon_stopped();
  }
}

bool DurableCore::is_built_on(const void* loop) const {
  std::lock_guard lock(mutex_);
  return !attempt_ || attempt_->loop == loop;
}

// An attempt on a loop that somebody stopped does not go on before somebody runs that again.
void DurableCore::abandon_stopped() {
  AttemptPointer attempt;
  {
    std::lock_guard lock(mutex_);
    attempt = attempt_;
  }
  if (!attempt || !Cancellable::is_stopped(attempt->task)) return;
  Cancellable::cancel(attempt->task);
  abandon(attempt,
          Error(ErrorKind::closed, settings_.name + ": the executor of the attempt was stopped"));
}

DurableCore::Search DurableCore::search_value(const HeldPointer& seen, const Call& call,
                                              MonotonicTime not_before,
                                              const OneShot<Outcome>& answer) {
  Search search;
  if (closed_) {
    search.refused.emplace(ErrorKind::closed, settings_.name + " is closed");
    return search;
  }
  if (attempt_ && SEMPER_MUTANT("durable_two_attempts_at_once")) {
    paused_.merge(attempt_->waiters);
    attempt_ = nullptr;
  }
  const auto now = clock().now();
  search.pause_ends = kNever;
  if (!attempt_) {
    if (value_ && value_ != seen) {
      search.found = value_;
      return search;
    }
    note_found_broken();
    const auto pause_ends = std::max(pace_ ? pace_->next_attempt() : now, not_before);
    if (pause_ends > now && may_pause(call)) {
      search.pause_ends = pause_ends;
    } else {
      search.refused = refusal();
    }
  }
  Waiters& waiters = attempt_ ? attempt_->waiters : paused_;
  if (!search.refused && waiters.size() >= settings_.max_waiters) {
    search.refused.emplace(ErrorKind::retry, Limit{"max_waiters", settings_.max_waiters},
                           settings_.name + ": max_waiters (" +
                               std::to_string(settings_.max_waiters) + ") wait for the " +
                               (attempt_ ? "attempt" : "next attempt") + " already");
  }
  if (search.refused) return search;
  search.number = ++last_waiter_;
  if (attempt_ || search.pause_ends != kNever) {
    waiters.emplace(search.number, answer);
    return search;
  }
  search.begun = attempt_ = std::make_shared<Attempt>();
  attempt_->begun = now;
  attempt_->waiters.swap(paused_);
  attempt_->waiters.emplace(search.number, answer);
  if (hooks_.rebuild) {
    attempt_->broken = value_;
  } else {
    search.replaced = std::exchange(value_, nullptr);
  }
  ++builders_at_once_;
  ++statistics_.attempts;
  return search;
}

bool DurableCore::may_pause(const Call& call) const {
  return call.when_down != WhenDown::fail && !is_given_up() && builders_at_once_ < kBuildersAtOnce;
}

bool DurableCore::is_paused(std::uint64_t caller) const {
  std::lock_guard lock(mutex_);
  return paused_.count(caller) != 0;
}

Error DurableCore::passed_deadline() const {
  std::lock_guard lock(mutex_);
  std::string text = settings_.name + ": the deadline of the call passed before it was connected";
  if (statistics_.last_error) text += "; the last failure: " + statistics_.last_error->to_string();
  return Error(ErrorKind::timeout, std::move(text));
}

// The waiting callers search again where `with` is null.
void DurableCore::answer_paused(const HeldPointer& with) {
  Waiters paused;
  {
    std::lock_guard lock(mutex_);
    if (paused_.empty()) return;
    paused.swap(paused_);
  }
  answer(std::move(paused), with, Resume::posted);
}

Async<HeldPointer> DurableCore::heal_intact(HeldPointer seen, Call call, MonotonicTime not_before) {
  SEMPER_CO_TRY(HeldPointer held, co_await heal(std::move(seen), call, not_before));
  SEMPER_CO_TRY(const bool broken, is_broken(*held));
  if (broken) co_return fail(broken_after_build());
  co_return held;
}

Async<HeldPointer> DurableCore::obtain(std::shared_ptr<DurableCore> core, HeldPointer seen,
                                       Call call) {
  MonotonicTime not_before = MonotonicTime::min();
  while (true) {
    auto held = co_await core->heal_intact(std::exchange(seen, nullptr), call, not_before);
    if (held || call.when_down != WhenDown::wait) co_return held;
    // It may have broken on its way from the attempt: then it is noted, and made anew.
    if (!SEMPER_MUTANT("durable_broken_value_waited_for")) static_cast<void>(core->check());
    not_before = co_await core->next_try(call);
    if (not_before == kNever) co_return held;
    seen = core->broken_value();
  }
}

Async<HeldPointer> DurableCore::ready(Call call, MonotonicTime not_before) {
  HeldPointer held = present();
  if (held) {
    SEMPER_CO_TRY(bool broken, is_broken(*held));
    if (!broken) {
      SEMPER_CO_TRY(const bool answers, co_await still_answers(held, call));
      broken = !answers;
    }
    if (!broken) {
      if (!held->announced_intact.load(std::memory_order_relaxed)) announce_intact(held);
      co_return held;
    }
  }
  co_return co_await heal_intact(std::move(held), call, not_before);
}

bool DurableCore::is_probe_due(const HeldBase& held) const {
  return settings_.probe_after_idle != kForever && hooks_.probe &&
         clock().now() - held.last_used >= settings_.probe_after_idle;
}

// See probe_after_idle. Error: the caller's own end.
Async<bool> DurableCore::still_answers(HeldPointer held, Call call) {
  if (!is_probe_due(*held)) co_return true;
  CutOffProbe cut_off(*this, held);
  auto probed = co_await probe(held, call.deadline);
  cut_off.has_ended();
  held->last_used = clock().now();
  if (probed) co_return true;
  note_probe_failed(held, probed.error());
  if (call.deadline != kNever && clock().now() >= call.deadline) co_return fail(passed_deadline());
  co_return false;
}

HeldPointer DurableCore::broken_value() const {
  std::lock_guard lock(mutex_);
  return !attempt_ && !announced_ ? value_ : nullptr;
}

Task<MonotonicTime> DurableCore::next_try(Call call) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return kNever;
  const auto now = clock().now();
  if (now >= call.deadline) co_return kNever;
  std::lock_guard lock(mutex_);
  if (closed_ || is_given_up()) co_return kNever;
  const Waiters& waiters = attempt_ ? attempt_->waiters : paused_;
  if (waiters.size() >= settings_.max_waiters) co_return kNever;
  const bool has_pause =
      pace_ && pace_->next_attempt() > now && builders_at_once_ < kBuildersAtOnce;
  co_return has_pause ? now : clock().after(kLookAgain);
}

std::optional<Error> DurableCore::down() {
  std::lock_guard lock(mutex_);
  if (closed_) return Error(ErrorKind::closed, settings_.name + " is closed");
  if (attempt_) return std::nullopt;
  if (value_ && !value_->marked_broken.load(std::memory_order_relaxed)) return std::nullopt;
  return refusal();
}

}  // namespace semper::internal
