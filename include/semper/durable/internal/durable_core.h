// DurableCore: what durable.h does, with the type of the value forgotten.
//
// What for: Durable<T> is a thin template over it. When not: never used directly.
//
// Invariants: at most one attempt is in `attempt_`; while there is one, or after close(), no `with`
// takes the value without waiting; while one that creates is there, `value_` is null; whoever takes
// an attempt out of `attempt_` takes its waiters with it and answers them. No hook, no callback and
// no destructor of a value runs with the lock held, and every function that runs one keeps the core
// alive: the user's code may destroy the last handle.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "semper/base/metrics.h"
#include "semper/durable/bus.h"
#include "semper/durable/durable_options.h"
#include "semper/durable/internal/connection_log.h"
#include "semper/durable/internal/pace.h"
#include "semper/durable/internal/turns.h"
#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/env/internal/cancellable.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

// Where a value lives, or is being made; see Overlap::never.
class Occupancy {
 public:
  // Holds the place until the last copy goes.
  using Place = std::shared_ptr<void>;

  // Waits until nobody has the place. All who wait are told when it is left, and one gets it: the
  // loop of another may not run.
  static Async<Place> take(std::shared_ptr<Occupancy> from);

 private:
  class Wait;
  using Waits = std::list<OneShot<std::monostate>>;

  void leave();

  std::mutex mutex_;
  bool taken_ = false;
  Waits waits_;  // without those that have ended
};

// A value in its box. It is disposed of when the last user lets go of the box.
struct HeldBase {
  explicit HeldBase(const void* where) : address(where) {}
  virtual ~HeldBase() = default;
  HeldBase(const HeldBase&) = delete;
  HeldBase& operator=(const HeldBase&) = delete;

  const ForkGuard fork{};
  const void* const address;  // of the value
  std::atomic<bool> marked_broken{false};
  std::atomic<bool> announced_intact{false};
  std::atomic<bool> was_of_use{false};  // an f on it succeeded
  MonotonicTime retires = kNever;       // set before others see it; see max_lifetime
  MonotonicTime last_used{};            // of whoever has the turn
  Occupancy::Place place;               // left after the value was destroyed
};
using HeldPointer = std::shared_ptr<HeldBase>;

// Deletes nothing in a forked child: what ends there would end for the parent, too (a session whose
// destructor says goodbye to the server).
struct LeftToTheParent {
  template <class Guarded>
  void operator()(Guarded* made) const {
    if (!made->fork.is_foreign()) delete made;
  }
};

struct DurableHooks {
  std::function<Async<HeldPointer>()> create;
  std::function<bool(HeldBase&)> is_broken;
  std::function<Async<HeldPointer>(HeldPointer)> rebuild;  // may be empty
  std::function<Async<void>(HeldPointer)> probe;           // may be empty
};

struct DurableSettings {
  std::string name;
  std::string metrics_name;  // that of a pool, for all of its places
  Env env;
  Executor executor;
  Duration attempt_deadline = kForever;
  std::optional<RetryOptions> retry;
  std::uint32_t attempt_limit = 0;
  std::function<bool(const Error&)> is_permanent;
  std::function<bool(const Error&)> breaks_on;
  WithOptions with;
  Duration max_lifetime = kForever;
  Duration probe_after_idle = kForever;
  std::optional<Duration> repair_every;
  Overlap overlap = Overlap::allowed;
  std::size_t max_waiters = 0;
  metrics::Registry* metrics = nullptr;
  // Exclusive access: who has this place of these may use the value. Null: anybody may.
  std::shared_ptr<Turns> turns;
  std::size_t place = 0;
};

// What one with() may take.
struct Call {
  MonotonicTime deadline = kNever;
  WhenDown when_down = WhenDown::attempt;
};

class DurableCore : public std::enable_shared_from_this<DurableCore> {
 public:
  DurableCore(DurableHooks hooks, DurableSettings settings);
  ~DurableCore();
  DurableCore(const DurableCore&) = delete;
  DurableCore& operator=(const DurableCore&) = delete;

  // Attempts whose builders run at once, at most: one, and those that were given up (deadline) and
  // do not heed their cancellation.
  static constexpr std::size_t kBuildersAtOnce = 4;
  // How often a caller looks whether the loop of the attempt that it waits for was stopped, where
  // that is another one than its own.
  static constexpr Duration kStoppedLoopLook = std::chrono::seconds(3);

  // Error: unsupported (it was made before the process forked).
  Status check_fork() const { return fork.check(settings_.name); }

  // The hot path: the value that may be usable; null where there is none, or an attempt runs.
  HeldPointer current() {
    std::lock_guard lock(mutex_);
    ++statistics_.calls;
    return attempt_ ? nullptr : value_;
  }
  // The same; the call was counted.
  HeldPointer present() const {
    std::lock_guard lock(mutex_);
    return attempt_ ? nullptr : value_;
  }

  // Asks the hook. What it throws is an error of kind `internal`.
  Result<bool> is_broken(HeldBase& held) const;

  // Joins the attempt under way, or begins one, after the pause that is on where the call waits for
  // that, and returns what it built. `seen`: what the caller found broken; if there is another
  // value by now, that one is returned. `not_before`: for a call that has failed already.
  Async<HeldPointer> heal(HeldPointer seen, Call call,
                          MonotonicTime not_before = MonotonicTime::min());
  // The same, and the value is not broken when it comes.
  Async<HeldPointer> heal_intact(HeldPointer seen, Call call, MonotonicTime not_before);
  // The same, again and again for a call that waits.
  static Async<HeldPointer> obtain(std::shared_ptr<DurableCore> core, HeldPointer seen, Call call);
  // For who has the turn: the value where it is intact (the probe may be asked), otherwise one
  // attempt.
  Async<HeldPointer> ready(Call call, MonotonicTime not_before);

  // When the call, which has failed, may try again; kNever: not.
  Task<MonotonicTime> next_try(Call call);
  // Why nothing can be had at once and nothing is under way; nothing where it may.
  std::optional<Error> down();
  bool is_building() const {
    std::lock_guard lock(mutex_);
    return attempt_ != nullptr;
  }
  bool is_announced() const {
    std::lock_guard lock(mutex_);
    return announced_;
  }
  // See probe_after_idle.
  bool is_probe_due(const HeldBase& held) const;

  Call begin(const WithOptions& options) const {
    if (options.deadline == kForever) return Call{kNever, options.when_down};
    return Call{settings_.env.clock->after(options.deadline), options.when_down};
  }
  Clock& clock() const { return *settings_.env.clock; }
  const DurableSettings& settings() const { return settings_; }

  // What an f on that value came to. `is_cut_off`: its caller was cancelled, or its deadline
  // passed.
  enum class Thrown : bool { no, yes };
  void note_failure_of_f(HeldBase& held, const Error& error, Thrown thrown, bool is_cut_off);
  // With exclusive access: it did not come to an end.
  void note_cut_off(const HeldBase& held, const char* why);

  // A value that was announced as broken is intact again by itself.
  void announce_intact(const HeldPointer& held);
  // Asks is_broken now and publishes what changed.
  Result<bool> check();
  // `value`: the address of the one that is meant; null: the present one, whichever it is.
  void invalidate(const void* value) {
    break_value(value, ConnectionLog::Cause::connection, "invalidate() was called");
  }
  void reset();
  void close();
  static Task<void> join(std::shared_ptr<DurableCore> core);
  void start_repair();

  const Bus<bool>& is_intact() const { return is_intact_; }
  DurableStatistics statistics() const;

  Error broken_after_build() const;

  const ForkGuard fork{};

 private:
  using Outcome = Result<HeldPointer>;
  using Waiters = std::map<std::uint64_t, OneShot<Outcome>>;  // in the order they came
  struct Attempt {
    std::shared_ptr<Cancellable> task = std::make_shared<Cancellable>();
    MonotonicTime begun{};
    const void* loop = nullptr;    // its execution context, to be compared only
    Waiters waiters;               // with the lock
    bool waits_for_place = false;  // with the lock; see Overlap::never
    bool is_stale = false;         // with the lock: invalidate() was called meanwhile
    HeldPointer broken;            // what is to be rebuilt; null: create
  };
  using AttemptPointer = std::shared_ptr<Attempt>;
  class Leave;
  class Reporter;
  struct ProbeAnswer;
  struct Meters;

  // The reporter is the frame's from its beginning: the coroutine may be destroyed before it ran.
  static Task<void> run(std::shared_ptr<DurableCore> core, AttemptPointer attempt,
                        std::shared_ptr<Reporter> reporter);
  static Async<HeldPointer> build(DurableCore& core, Attempt& attempt);
  static Task<void> repair_loop(std::shared_ptr<DurableCore> core);
  static Task<void> ask_probe(std::shared_ptr<DurableCore> core, HeldPointer held,
                              std::unique_ptr<ProbeAnswer> to);

  void start(const AttemptPointer& attempt, const Executor& executor);
  void finish(const AttemptPointer& attempt, Outcome built);
  void abandon(const AttemptPointer& attempt, const Error& why);
  void pass_deadline(const AttemptPointer& attempt);
  static void answer(Waiters waiters, Outcome outcome, Resume how);
  Task<bool> repair_once();
  Async<void> probe(HeldPointer held, MonotonicTime deadline);
  MonotonicTime next_repair(bool intact);
  void wake_repair();
  void break_value(const void* value, ConnectionLog::Cause cause, const std::string& why);
  void note_probe_failed(const HeldPointer& held, const Error& error);
  Async<bool> still_answers(HeldPointer held, Call call);
  HeldPointer broken_value() const;
  Error passed_deadline() const;
  void answer_paused(const HeldPointer& with);
  bool is_exclusive() const { return settings_.turns != nullptr; }
  void deliver() {
    is_intact_.deliver();
    log_.deliver();
  }

  // Exclusive: a probe whose asker is destroyed leaves an answer that would be taken for the next
  // one's.
  class CutOffProbe {
   public:
    CutOffProbe(DurableCore& core, HeldPointer held) : core_(core), held_(std::move(held)) {}
    CutOffProbe(const CutOffProbe&) = delete;
    CutOffProbe& operator=(const CutOffProbe&) = delete;
    ~CutOffProbe();
    void has_ended() { has_ended_ = true; }

   private:
    DurableCore& core_;
    const HeldPointer held_;
    bool has_ended_ = false;
  };

  // What a caller who found nothing usable does: with the lock held.
  struct Search {
    AttemptPointer begun;  // start it
    HeldPointer found;     // built since the caller looked
    HeldPointer replaced;  // destroy it
    std::optional<Error> refused;
    std::uint64_t number = 0;    // of the caller, among those who wait
    MonotonicTime pause_ends{};  // it waits until then, and searches again
  };
  Search search_value(const HeldPointer& seen, const Call& call, MonotonicTime not_before,
                      const OneShot<Outcome>& answer);
  // Nothing: the pause is over, and nobody else began.
  Task<std::optional<Result<Outcome>>> wait_for_answer(std::uint64_t caller,
                                                       OneShot<Outcome> answer,
                                                       MonotonicTime pause_ends,
                                                       MonotonicTime deadline);
  bool is_paused(std::uint64_t caller) const;
  bool is_built_on(const void* loop) const;
  void abandon_stopped();

  // With the lock held. What is announced or noted is delivered after it is released.
  bool may_pause(const Call& call) const;
  std::optional<Error> refusal();  // why no attempt may begin now
  bool is_given_up() const;
  void announce(bool intact);
  void count_intact(int change);
  void note_broken(ConnectionLog::Cause cause, std::string_view why);
  void note_found_broken();
  void note_failure(const Error& error, bool permanent);
  void note_success(const Attempt& attempt);

  const DurableHooks hooks_;
  const DurableSettings settings_;
  const std::unique_ptr<Meters> meters_;  // null: none wanted
  Gate builders_;                         // and probes, and the loop of eager repair
  const std::shared_ptr<Occupancy> occupancy_ = std::make_shared<Occupancy>();
  Bus<bool> is_intact_;
  ConnectionLog log_;

  mutable std::mutex mutex_;
  HeldPointer value_;
  AttemptPointer attempt_;
  std::optional<Pace> pace_;
  // Callers that wait for the end of a pause; then there is no attempt, and the next one has them.
  Waiters paused_;
  std::uint64_t last_waiter_ = 0;
  std::optional<Error> permanent_;    // no more attempts until reset()
  std::size_t builders_at_once_ = 0;  // attempts that have begun and whose coroutine is there
  bool announced_ = false;
  bool closed_ = false;
  DurableStatistics statistics_;
  std::shared_ptr<Cancellable> repair_;
  OneShot<std::monostate> repair_wake_;
};

}  // namespace semper::internal
