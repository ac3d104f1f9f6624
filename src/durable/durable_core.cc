#include "semper/durable/durable_core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "semper/base/assert.h"
#include "semper/durable/hooks.h"
#include "semper/env/serial.h"

namespace semper::internal {

struct DurableCore::Meters {
  Meters(metrics::Registry& registry, const std::string& name)
      : created(attempts(registry, name, "created")),
        rebuilt(attempts(registry, name, "rebuilt")),
        failed(attempts(registry, name, "failed")),
        intact(registry.gauge({"semper_durable_intact", "Durable values that are intact"},
                              {{"name", name}})),
        seconds(registry.histogram({"semper_durable_attempt_seconds", "One attempt to build"},
                                   {{"name", name}})) {}

  static metrics::Counter& attempts(metrics::Registry& registry, const std::string& name,
                                    const char* result) {
    return registry.counter({"semper_durable_attempts_total", "Attempts to build durable values"},
                            {{"name", name}, {"result", result}});
  }

  metrics::Counter& created;
  metrics::Counter& rebuilt;
  metrics::Counter& failed;
  metrics::Gauge& intact;
  metrics::Histogram& seconds;
};

// Answers for an attempt whose coroutine is destroyed before it ends, and counts the coroutine.
class DurableCore::Reporter {
 public:
  Reporter(std::shared_ptr<DurableCore> core, AttemptPointer attempt)
      : core_(std::move(core)), attempt_(std::move(attempt)) {}
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter() {
    if (!reported_) {
      const std::string& name = core_->settings_.name;
      core_->abandon(attempt_,
                     Error(ErrorKind::closed, name + ": the executor of the attempt is gone"));
    }
    std::lock_guard lock(core_->mutex_);
    --core_->builders_at_once_;
  }
  void finish(Outcome built) {
    reported_ = true;
    core_->finish(attempt_, std::move(built));
  }

 private:
  const std::shared_ptr<DurableCore> core_;
  const AttemptPointer attempt_;
  bool reported_ = false;
};

// Takes a caller out of the attempt's waiters, however its wait ends, its coroutine destroyed
// included.
class DurableCore::Leave {
 public:
  Leave(DurableCore& core, AttemptPointer attempt, std::uint64_t number)
      : core_(core), attempt_(std::move(attempt)), number_(number) {}
  Leave(const Leave&) = delete;
  Leave& operator=(const Leave&) = delete;
  ~Leave() {
    std::lock_guard lock(core_.mutex_);
    attempt_->waiters.erase(number_);
  }

 private:
  DurableCore& core_;
  const AttemptPointer attempt_;
  const std::uint64_t number_;
};

Async<Occupancy::Place> Occupancy::take(std::shared_ptr<Occupancy> from) {
  while (true) {
    OneShot<std::monostate> left;
    {
      std::lock_guard lock(from->mutex_);
      if (!std::exchange(from->taken_, true)) break;
      from->waits_ = left;
    }
    auto woken = co_await left.wait();
    if (!woken) co_return fail(woken.error());
  }
  Occupancy* const place = from.get();
  co_return Place(place, [from](void*) { from->leave(); });
}

void Occupancy::leave() {
  std::optional<OneShot<std::monostate>> waits;
  {
    std::lock_guard lock(mutex_);
    taken_ = false;
    waits.swap(waits_);
  }
  if (waits) waits->set({});
}

DurableCore::DurableCore(DurableHooks hooks, DurableSettings settings)
    : hooks_(std::move(hooks)),
      settings_(std::move(settings)),
      meters_(settings_.metrics != nullptr
                  ? std::make_unique<Meters>(*settings_.metrics, settings_.name)
                  : nullptr),
      builders_(settings_.name) {
  if (settings_.retry) pace_.emplace(*settings_.retry, settings_.env);
  is_intact_.publish(false);
}

DurableCore::~DurableCore() {
  SEMPER_ASSERT(!attempt_, "an attempt keeps the core alive until it has reported");
}

Error DurableCore::broken_after_build() const {
  return Error(ErrorKind::retry,
               settings_.name + ": the value was broken right after it was built");
}

Result<bool> DurableCore::is_broken(HeldBase& held) const {
  if (held.marked_broken.load(std::memory_order_relaxed)) return true;
  try {
    return hooks_.is_broken(held);
  } catch (const std::exception& thrown) {
    return fail(ErrorKind::internal, settings_.name + ": is_broken threw: " + thrown.what());
  } catch (...) {
    return fail(ErrorKind::internal, settings_.name + ": is_broken threw no std::exception");
  }
}

Async<HeldPointer> DurableCore::heal(HeldPointer seen) {
  Executor executor = settings_.executor;
  if (!executor) executor = co_await asio::this_coro::executor;
  OneShot<Outcome> answer;
  AttemptPointer begun, joined;
  HeldPointer replaced;
  std::uint64_t number = 0;
  std::optional<Error> refused;
  {
    std::lock_guard lock(mutex_);
    if (closed_) co_return fail(ErrorKind::closed, settings_.name + " is closed");
    if (!attempt_) {
      if (value_ && value_ != seen) co_return value_;  // built since the caller looked
      note_broken();
      refused = refusal();
      if (!refused) {
        begun = attempt_ = std::make_shared<Attempt>();
        begun->begun = settings_.env.clock->now();
        if (hooks_.rebuild) {
          begun->broken = value_;
        } else {
          replaced = std::exchange(value_, nullptr);
        }
        ++builders_at_once_;
        ++statistics_.attempts;
      }
    }
    if (!refused && attempt_->waiters.size() >= settings_.max_waiters) {
      refused = Error(ErrorKind::exhausted, settings_.name + ": max_waiters (" +
                                                std::to_string(settings_.max_waiters) +
                                                ") wait for the attempt already");
    }
    if (!refused) {
      joined = attempt_;
      number = ++joined->last_waiter;
      joined->waiters.emplace(number, answer);
    }
  }
  seen = nullptr;  // who waits does not keep what is replaced
  is_intact_.deliver();
  replaced = nullptr;
  if (begun) start(begun, executor);
  begun = nullptr;
  if (refused) co_return fail(std::move(*refused));
  const Leave leave(*this, std::move(joined), number);
  auto answered = co_await answer.wait();
  if (!answered) {
    co_return fail(answered.error().kind(), settings_.name + ": the wait for the attempt ended");
  }
  co_return std::move(*answered);
}

void DurableCore::start(const AttemptPointer& attempt, const Executor& executor) {
  CancellableDeadline deadline;
  if (settings_.attempt_deadline != kForever) {
    deadline.clock = settings_.env.clock;
    deadline.when = settings_.env.clock->after(settings_.attempt_deadline);
    deadline.on_passed = [core = shared_from_this(), attempt] { core->pass_deadline(attempt); };
  }
  auto reporter = std::make_shared<Reporter>(shared_from_this(), attempt);
  Cancellable::start(attempt->task, serial_executor(executor),
                     run(shared_from_this(), attempt, std::move(reporter)), std::move(deadline));
}

// On the clock's thread.
void DurableCore::pass_deadline(const AttemptPointer& attempt) {
  const auto deadline_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(settings_.attempt_deadline).count();
  std::string text = settings_.name + ": the attempt passed its deadline of " +
                     std::to_string(deadline_ms) + " ms";
  {
    std::lock_guard lock(mutex_);
    if (attempt->waits_for_place) text += "; the former value is still in use (Overlap::never)";
  }
  abandon(attempt, Error(ErrorKind::timeout, std::move(text)));
}

Task<void> DurableCore::run(std::shared_ptr<DurableCore> core, AttemptPointer attempt,
                            std::shared_ptr<Reporter> reporter) {
  auto inside = core->builders_.enter();
  if (!inside) co_return;  // closed before it began
  const char* const builder = attempt->broken ? ": to_rebuild" : ": to_create";
  Outcome built;
  try {
    built = co_await build(*core, *attempt);
  } catch (const std::exception& thrown) {
    built = fail(ErrorKind::internal, core->settings_.name + builder + " threw: " + thrown.what());
  } catch (...) {
    built = fail(ErrorKind::internal, core->settings_.name + builder + " threw no std::exception");
  }
  reporter->finish(std::move(built));
  attempt->broken = nullptr;  // before join() returns
}

Async<HeldPointer> DurableCore::build(DurableCore& core, Attempt& attempt) {
  if (attempt.broken) {
    SEMPER_CO_TRY(HeldPointer rebuilt, co_await core.hooks_.rebuild(attempt.broken));
    rebuilt->place = attempt.broken->place;
    co_return rebuilt;
  }
  Occupancy::Place place;
  if (core.settings_.overlap == Overlap::never) {
    {
      std::lock_guard lock(core.mutex_);
      attempt.waits_for_place = true;
    }
    SEMPER_CO_TRY(place, co_await Occupancy::take(core.occupancy_));
    std::lock_guard lock(core.mutex_);
    attempt.waits_for_place = false;
  }
  SEMPER_CO_TRY(HeldPointer held, co_await core.hooks_.create());
  held->place = std::move(place);
  co_return held;
}

void DurableCore::finish(const AttemptPointer& attempt, Outcome built) {
  // A value that is broken stays, to be rebuilt by the next `with`; one that nobody can judge goes.
  HeldPointer value = built ? *built : nullptr;
  if (built) {
    auto broken = is_broken(*value);
    if (!broken) {
      built = fail(broken.error());
      value = nullptr;
    } else if (*broken) {
      built = fail(broken_after_build());
    }
  }
  const bool permanent =
      !built && says_permanent(settings_.is_permanent, built.error(), settings_.name);
  HeldPointer dropped;
  Waiters waiters;
  {
    std::lock_guard lock(mutex_);
    if (attempt_ != attempt) return;  // abandoned: the value goes as it came
    attempt_ = nullptr;
    waiters.swap(attempt->waiters);
    dropped = std::exchange(value_, std::move(value));
    statistics_.last_attempt = settings_.env.clock->now() - attempt->begun;
    if (meters_) meters_->seconds.record(statistics_.last_attempt);
    if (built) {
      note_success(*attempt);
    } else {
      note_failure(built.error(), permanent);
    }
  }
  dropped = nullptr;
  attempt->broken = nullptr;
  is_intact_.deliver();
  // At the attempt's end a lone waiter goes on here and now: one hop less for each value that heals.
  answer(std::move(waiters), std::move(built), Resume::inline_if_possible);
}

void DurableCore::abandon(const AttemptPointer& attempt, const Error& why) {
  Waiters waiters;
  {
    std::lock_guard lock(mutex_);
    if (attempt_ != attempt) return;
    attempt_ = nullptr;
    waiters.swap(attempt->waiters);
    // This thread may be the clock's: a value to be rebuilt is destroyed with the attempt, by its
    // coroutine, and while one is created there is none.
    SEMPER_ASSERT(value_ == attempt->broken, "an attempt has what it replaces");
    value_ = nullptr;
    statistics_.last_attempt = settings_.env.clock->now() - attempt->begun;
    ++statistics_.abandoned;
    note_failure(why, false);
  }
  answer(std::move(waiters), fail(why), Resume::posted);
}

void DurableCore::answer(Waiters waiters, Outcome outcome, Resume how) {
  if (how == Resume::inline_if_possible && waiters.size() == 1) {
    waiters.begin()->second.set_inline(std::move(outcome));  // no trace of the value is left here
    return;
  }
  std::vector<std::pair<OneShot<Outcome>, Outcome>> answers;
  answers.reserve(waiters.size());
  for (auto& [number, waiter] : waiters) answers.emplace_back(std::move(waiter), outcome);
  OneShot<Outcome>::set_all(std::move(answers));
}

std::optional<Error> DurableCore::refusal() {
  if (permanent_) return permanent_;
  const auto failures = statistics_.failures_in_a_row;
  const std::string last =
      statistics_.last_error ? "; the last failure: " + statistics_.last_error->to_string() : "";
  if (settings_.attempt_limit != 0 && failures >= settings_.attempt_limit) {
    return Error(ErrorKind::exhausted, settings_.name + ": attempt_limit (" +
                                           std::to_string(settings_.attempt_limit) +
                                           ") is reached, reset() allows more" + last);
  }
  if (builders_at_once_ >= kBuildersAtOnce) {
    return Error(ErrorKind::retry, settings_.name + ": " + std::to_string(builders_at_once_) +
                                       " attempts were given up and their builders still run; a "
                                       "builder must heed its cancellation" +
                                       last);
  }
  if (!pace_) return std::nullopt;
  const auto wait = pace_->next_attempt();
  const auto now = settings_.env.clock->now();
  if (wait <= now) return std::nullopt;
  const auto wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait - now).count();
  return Error(ErrorKind::retry, settings_.name + ": the next attempt is due in " +
                                     std::to_string(wait_ms) + " ms" + last);
}

void DurableCore::announce(bool intact) {
  if (announced_ == intact) return;
  announced_ = intact;
  if (meters_) meters_->intact.add(intact ? 1 : -1);
  is_intact_.post(intact);
}

void DurableCore::note_broken() {
  if (value_) value_->announced_intact.store(false, std::memory_order_relaxed);
  if (announced_) ++statistics_.breaks;
  announce(false);
}

void DurableCore::note_failure(const Error& error, bool permanent) {
  ++statistics_.failed;
  ++statistics_.failures_in_a_row;
  statistics_.last_error = error;
  if (permanent) permanent_ = error;
  if (pace_) pace_->failed();
  if (meters_) meters_->failed.add();
}

void DurableCore::note_success(const Attempt& attempt) {
  ++(attempt.broken ? statistics_.rebuilt : statistics_.created);
  statistics_.failures_in_a_row = 0;
  if (pace_) pace_->succeeded();
  if (meters_) (attempt.broken ? meters_->rebuilt : meters_->created).add();
  value_->announced_intact.store(true, std::memory_order_relaxed);
  announce(true);
}

void DurableCore::announce_intact(const HeldPointer& held) {
  {
    std::lock_guard lock(mutex_);
    if (value_ != held || attempt_ || closed_) return;
    held->announced_intact.store(true, std::memory_order_relaxed);
    announce(true);
  }
  is_intact_.deliver();
}

Result<bool> DurableCore::check() {
  const auto self = shared_from_this();
  HeldPointer held;
  {
    std::lock_guard lock(mutex_);
    if (!attempt_) held = value_;
  }
  if (!held) return false;
  SEMPER_TRY(const bool broken, is_broken(*held));
  if (!broken) {
    announce_intact(held);
    return true;
  }
  {
    std::lock_guard lock(mutex_);
    if (value_ == held && !attempt_) note_broken();
  }
  is_intact_.deliver();
  wake_repair();
  return false;
}

void DurableCore::invalidate(const void* value) {
  const auto self = shared_from_this();
  {
    std::lock_guard lock(mutex_);
    if (!value_ || attempt_ || (value != nullptr && value_->address != value)) return;
    value_->marked_broken.store(true, std::memory_order_relaxed);
    note_broken();
  }
  is_intact_.deliver();
  wake_repair();
}

void DurableCore::reset() {
  {
    std::lock_guard lock(mutex_);
    permanent_.reset();
    statistics_.failures_in_a_row = 0;
    if (pace_) pace_->reset();
  }
  wake_repair();
}

void DurableCore::close() {
  const auto self = shared_from_this();
  HeldPointer dropped;
  AttemptPointer ended;
  Waiters waiters;
  std::shared_ptr<Cancellable> repair;
  const Error why(ErrorKind::closed, settings_.name + " is closed");
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    dropped = std::exchange(value_, nullptr);
    ended = std::exchange(attempt_, nullptr);
    repair = std::exchange(repair_, nullptr);
    if (ended) {
      waiters.swap(ended->waiters);
      ++statistics_.abandoned;
      note_failure(why, false);
    }
    announce(false);
  }
  builders_.shut();
  if (ended) {
    Cancellable::cancel(ended->task);
    answer(std::move(waiters), fail(why), Resume::posted);
  }
  if (repair) Cancellable::cancel(repair);
  is_intact_.deliver();
}

Task<void> DurableCore::join(std::shared_ptr<DurableCore> core) {
  core->close();
  co_await core->builders_.close();
}

DurableStatistics DurableCore::statistics() const {
  std::lock_guard lock(mutex_);
  auto copy = statistics_;
  copy.waiting = attempt_ ? attempt_->waiters.size() : 0;
  copy.intact = announced_;
  return copy;
}

}  // namespace semper::internal
