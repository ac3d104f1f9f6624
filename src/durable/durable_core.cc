#include "semper/durable/internal/durable_core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>
#include <vector>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/internal/thrown.h"
#include "semper/durable/internal/hooks.h"
#include "semper/durable/system_errors.h"
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

// Among those that wait, until its coroutine has the place, gives up or is destroyed.
class Occupancy::Wait {
 public:
  explicit Wait(Occupancy& place) : place_(place), at_(place.waits_.emplace(place.waits_.end())) {}
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  ~Wait() {
    std::lock_guard lock(place_.mutex_);
    place_.waits_.erase(at_);
  }

  OneShot<std::monostate> woken() const { return *at_; }
  void wait_again() { *at_ = OneShot<std::monostate>(); }

 private:
  Occupancy& place_;
  const Waits::iterator at_;
};

Async<Occupancy::Place> Occupancy::take(std::shared_ptr<Occupancy> from) {
  std::optional<Wait> wait;
  while (true) {
    OneShot<std::monostate> woken;
    {
      std::lock_guard lock(from->mutex_);
      if (!std::exchange(from->taken_, true)) break;
      if (wait) {
        wait->wait_again();
      } else {
        wait.emplace(*from);
      }
      woken = wait->woken();
    }
    auto left = co_await woken.wait();
    if (!left) co_return fail(left.error());
  }
  wait.reset();
  Occupancy* const place = from.get();
  co_return Place(place, [from](void*) { from->leave(); });
}

void Occupancy::leave() {
  Waits told;
  {
    std::lock_guard lock(mutex_);
    taken_ = false;
    told = waits_;
  }
  for (auto& one : told) one.set({});
}

DurableCore::DurableCore(DurableHooks hooks, DurableSettings settings)
    : hooks_(std::move(hooks)),
      settings_(std::move(settings)),
      meters_(settings_.metrics != nullptr
                  ? std::make_unique<Meters>(*settings_.metrics, settings_.metrics_name)
                  : nullptr),
      builders_(settings_.name),
      log_(settings_.name, *settings_.env.clock) {
  if (settings_.retry) pace_.emplace(*settings_.retry, settings_.env);
  is_intact_.publish(false);
}

DurableCore::~DurableCore() {
  SEMPER_ASSERT(!attempt_, "an attempt keeps the core alive until it has reported");
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
  } catch (const std::system_error& thrown) {
    built = fail(error_from_system(thrown.code(), core->settings_.name + builder));
  } catch (const std::exception& thrown) {
    built = fail(ErrorKind::internal,
                 core->settings_.name + builder + " threw: " + internal::text_of(thrown));
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
  if (!built && SEMPER_MUTANT("durable_failed_rebuild_keeps_its_value")) value = attempt->broken;
  if (built) {
    auto broken = is_broken(*value);
    if (SEMPER_MUTANT("durable_value_not_judged_after_it_was_built")) broken = false;
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
    const bool late = attempt_ != attempt && !SEMPER_MUTANT("durable_late_value_replaces_another");
    if (late) return;  // abandoned: the value goes as it came
    attempt_ = nullptr;
    waiters.swap(attempt->waiters);
    if (built && attempt->is_stale) {
      value->marked_broken.store(true, std::memory_order_relaxed);
      built = fail(ErrorKind::retry,
                   settings_.name + ": invalidate() was called while the value was being built");
    }
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
  deliver();
  // At the attempt's end a lone waiter goes on here and now: one hop less for each value that
  // heals.
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
  if (waiters.size() > 1 && SEMPER_MUTANT("durable_waiter_dropped")) waiters.erase(waiters.begin());
  if (how == Resume::inline_if_possible && waiters.size() == 1) {
    waiters.begin()->second.set_inline(std::move(outcome));  // no trace of the value is left here
    return;
  }
  std::vector<std::pair<OneShot<Outcome>, Outcome>> answers;
  answers.reserve(waiters.size());
  for (auto& [number, waiter] : waiters) answers.emplace_back(std::move(waiter), outcome);
  OneShot<Outcome>::set_all(std::move(answers));
}

bool DurableCore::is_given_up() const {
  return permanent_ ||
         (settings_.attempt_limit != 0 && statistics_.failures_in_a_row >= settings_.attempt_limit);
}

std::optional<Error> DurableCore::refusal() {
  if (permanent_) return permanent_;
  const std::string last =
      statistics_.last_error ? "; the last failure: " + statistics_.last_error->to_string() : "";
  if (is_given_up()) {
    return Error(ErrorKind::exhausted, Limit{"attempt_limit", settings_.attempt_limit},
                 settings_.name + ": attempt_limit (" + std::to_string(settings_.attempt_limit) +
                     ") is reached; reset() allows more" + last);
  }
  if (builders_at_once_ >= kBuildersAtOnce) {
    return Error(ErrorKind::retry, Limit{"kBuildersAtOnce", kBuildersAtOnce},
                 settings_.name + ": " + std::to_string(builders_at_once_) +
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

void DurableCore::note_failure(const Error& error, bool permanent) {
  ++statistics_.failed;
  ++statistics_.failures_in_a_row;
  statistics_.last_error = error;
  if (permanent) permanent_ = error;
  if (pace_) pace_->failed();
  if (meters_) meters_->failed.add();
  log_.failed(error);
  if (is_given_up()) {
    log_.given_up(permanent ? "this error is permanent: " + error.to_string()
                            : std::string("attempt_limit is reached; reset() allows more"));
  }
}

void DurableCore::note_success(const Attempt& attempt) {
  ++(attempt.broken ? statistics_.rebuilt : statistics_.created);
  statistics_.failures_in_a_row = 0;
  if (pace_) pace_->succeeded();
  if (meters_) (attempt.broken ? meters_->rebuilt : meters_->created).add();
  value_->announced_intact.store(true, std::memory_order_relaxed);
  if (settings_.max_lifetime != kForever) {
    const auto span = settings_.max_lifetime;
    const auto sooner = static_cast<std::uint64_t>((span / 10).count());
    const Duration drawn(static_cast<Duration::rep>(settings_.env.random->below(sooner + 1)));
    value_->retires = settings_.env.clock->after(span - drawn);
  }
  value_->last_used = settings_.env.clock->now();
  announce(true);
}

void DurableCore::reset() {
  if (fork.is_foreign()) return;
  {
    std::lock_guard lock(mutex_);
    permanent_.reset();
    statistics_.failures_in_a_row = 0;
    if (pace_) pace_->reset();
  }
  answer_paused(HeldPointer());  // the pause is over
  wake_repair();
}

void DurableCore::close() {
  if (fork.is_foreign()) return;
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
      ++statistics_.failed;
      statistics_.last_error = why;
      if (meters_) meters_->failed.add();
    }
    waiters.merge(paused_);
    announce(false);
  }
  if (settings_.turns) settings_.turns->close();
  builders_.shut();
  if (ended) Cancellable::cancel(ended->task);
  answer(std::move(waiters), fail(why), Resume::posted);
  if (repair) Cancellable::cancel(repair);
  deliver();
}

Task<void> DurableCore::join(std::shared_ptr<DurableCore> core) {
  if (core->fork.is_foreign()) co_return;
  core->close();
  co_await core->builders_.close();
}

void DurableCore::count_intact(int change) {
  if (meters_) meters_->intact.add(change);
}

DurableStatistics DurableCore::statistics() const {
  if (fork.is_foreign()) return {};
  const std::size_t for_turn = settings_.turns ? settings_.turns->waiting() : 0;
  std::lock_guard lock(mutex_);  // after that of the turns, which ask cores with theirs held
  auto copy = statistics_;
  copy.waiting = (attempt_ ? attempt_->waiters.size() : 0) + paused_.size();
  copy.waiting_for_turn = for_turn;
  copy.intact = announced_;
  return copy;
}

}  // namespace semper::internal
