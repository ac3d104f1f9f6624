#include "semper/durable/durable_core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "semper/base/assert.h"
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

// Answers for an attempt whose coroutine is destroyed before it ends.
class DurableCore::Reporter {
 public:
  Reporter(DurableCore& core, const AttemptPointer& attempt) : core_(core), attempt_(attempt) {}
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter() {
    if (reported_) return;
    core_.abandon(attempt_, Error(ErrorKind::closed,
                                  core_.settings_.name + ": the executor of the attempt is gone"));
  }
  void finish(Outcome built) {
    reported_ = true;
    core_.finish(attempt_, std::move(built));
  }

 private:
  DurableCore& core_;
  const AttemptPointer& attempt_;
  bool reported_ = false;
};

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
  AttemptPointer begun;
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
        if (hooks_.rebuild) begun->broken = value_;
        ++statistics_.attempts;
      }
    }
    if (!refused && attempt_->waiters.size() >= settings_.max_waiters) {
      refused = Error(ErrorKind::exhausted, settings_.name + ": max_waiters (" +
                                                std::to_string(settings_.max_waiters) +
                                                ") wait for the attempt already");
    }
    if (!refused) attempt_->waiters.push_back(answer);
  }
  seen = nullptr;  // who waits does not keep what is replaced
  is_intact_.deliver();
  if (begun) start(begun, executor);
  if (refused) co_return fail(std::move(*refused));
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
    deadline.on_passed = [core = shared_from_this(), attempt] {
      core->abandon(attempt,
                    Error(ErrorKind::timeout,
                          core->settings_.name + ": the attempt passed its deadline of " +
                              std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                 core->settings_.attempt_deadline)
                                                 .count()) +
                              " ms"));
    };
  }
  Cancellable::start(attempt->task, serial_executor(executor), run(shared_from_this(), attempt),
                     std::move(deadline));
}

Task<void> DurableCore::run(std::shared_ptr<DurableCore> core, AttemptPointer attempt) {
  Reporter reporter(*core, attempt);
  auto inside = core->builders_.enter();
  if (!inside) co_return;  // closed before it began
  const HeldPointer& broken = attempt->broken;
  const char* const builder = broken ? ": to_rebuild" : ": to_create";
  Outcome built;
  try {
    if (broken) {
      built = co_await core->hooks_.rebuild(broken);
    } else {
      built = co_await core->hooks_.create();
    }
  } catch (const std::exception& thrown) {
    built = fail(ErrorKind::internal, core->settings_.name + builder + " threw: " + thrown.what());
  } catch (...) {
    built = fail(ErrorKind::internal, core->settings_.name + builder + " threw no std::exception");
  }
  reporter.finish(std::move(built));
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
  const bool permanent = !built && settings_.is_permanent && settings_.is_permanent(built.error());
  HeldPointer dropped;
  {
    std::lock_guard lock(mutex_);
    if (attempt_ != attempt) return;  // abandoned: the value goes as it came
    attempt_ = nullptr;
    dropped = std::exchange(value_, std::move(value));
    statistics_.last_attempt = settings_.env.clock->now() - attempt->begun;
    if (built) {
      note_success(*attempt);
    } else {
      note_failure(built.error(), permanent);
    }
  }
  if (meters_) meters_->seconds.record(settings_.env.clock->now() - attempt->begun);
  dropped = nullptr;
  attempt->broken = nullptr;
  is_intact_.deliver();
  // At the attempt's end a lone waiter goes on here and now: one hop less for each value that heals.
  answer(attempt, std::move(built), Resume::inline_if_possible);
}

void DurableCore::abandon(const AttemptPointer& attempt, const Error& why) {
  HeldPointer dropped;
  {
    std::lock_guard lock(mutex_);
    if (attempt_ != attempt) return;
    attempt_ = nullptr;
    dropped = std::exchange(value_, nullptr);
    statistics_.last_attempt = settings_.env.clock->now() - attempt->begun;
    ++statistics_.abandoned;
    note_failure(why, false);
  }
  answer(attempt, fail(why), Resume::posted);
}

// Nobody adds a waiter to an attempt that is not in attempt_ any more.
void DurableCore::answer(const AttemptPointer& attempt, Outcome outcome, Resume how) {
  auto waiters = std::exchange(attempt->waiters, {});
  if (how == Resume::inline_if_possible && waiters.size() == 1) {
    waiters.front().set_inline(std::move(outcome));  // and no trace of the value is left here
    return;
  }
  std::vector<std::pair<OneShot<Outcome>, Outcome>> answers;
  answers.reserve(waiters.size());
  for (auto& waiter : waiters) answers.emplace_back(std::move(waiter), outcome);
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

void DurableCore::invalidate() {
  {
    std::lock_guard lock(mutex_);
    if (!value_ || attempt_) return;
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
  HeldPointer dropped;
  AttemptPointer ended;
  std::shared_ptr<Cancellable> repair;
  const Error why(ErrorKind::closed, settings_.name + " is closed");
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    dropped = std::exchange(value_, nullptr);
    ended = std::exchange(attempt_, nullptr);
    repair = std::exchange(repair_, nullptr);
    if (ended) {
      ++statistics_.abandoned;
      note_failure(why, false);
    }
    announce(false);
  }
  builders_.shut();
  if (ended) {
    Cancellable::cancel(ended->task);
    answer(ended, fail(why), Resume::posted);
  }
  if (repair) Cancellable::cancel(repair);
  is_intact_.deliver();
}

Task<void> DurableCore::join() {
  auto self = shared_from_this();
  close();
  co_await builders_.close();
}

DurableStatistics DurableCore::statistics() const {
  std::lock_guard lock(mutex_);
  auto copy = statistics_;
  copy.waiting = attempt_ ? attempt_->waiters.size() : 0;
  copy.intact = announced_;
  return copy;
}

}  // namespace semper::internal
