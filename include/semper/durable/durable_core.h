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
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "semper/base/metrics.h"
#include "semper/durable/bus.h"
#include "semper/durable/cancellable.h"
#include "semper/durable/retry.h"
#include "semper/env/env.h"
#include "semper/env/gate.h"
#include "semper/env/one_shot.h"

namespace semper {

struct DurableStatistics {
  std::uint64_t calls = 0;      // of with()
  std::uint64_t attempts = 0;   // begun, to create or to rebuild
  std::uint64_t created = 0;    // attempts that gave an intact value, by to_create
  std::uint64_t rebuilt = 0;    // and by to_rebuild
  std::uint64_t failed = 0;     // attempts that gave an error, a broken value, or nothing in time
  std::uint64_t abandoned = 0;  // of those: passed their deadline, or were under way at close()
  std::uint64_t breaks = 0;     // intact values found broken
  std::uint64_t waiting = 0;    // callers that wait for an attempt now
  std::uint64_t failures_in_a_row = 0;
  bool intact = false;              // as published last
  std::optional<Error> last_error;  // of the last attempt that failed
  Duration last_attempt{};          // how long the last one took
};

// Whether the next value may be built while an old one is still there: in an f that has not
// returned, or in an attempt that was given up and has not ended.
enum class Overlap : std::uint8_t {
  // Yes: an f that hangs on a dead connection holds nobody up. An old value that nobody uses is
  // disposed of before the next one is built in any case.
  allowed,
  // No, for what only one may hold (an advisory lock, a client id): the attempt waits until the old
  // value is disposed of, at most until attempt_deadline. So an f must not call `with` on the value
  // that it uses.
  never,
};

namespace internal {

// Where a value lives, or is being made; see Overlap::never.
class Occupancy {
 public:
  // Holds the place until the last copy goes.
  using Place = std::shared_ptr<void>;

  // Waits until nobody has the place. One wait counts at a time, the last.
  static Async<Place> take(std::shared_ptr<Occupancy> from);

 private:
  void leave();

  std::mutex mutex_;
  bool taken_ = false;
  std::optional<OneShot<std::monostate>> waits_;
};

// A value in its box. It is disposed of when the last user lets go of the box.
struct HeldBase {
  explicit HeldBase(const void* where) : address(where) {}
  virtual ~HeldBase() = default;
  HeldBase(const HeldBase&) = delete;
  HeldBase& operator=(const HeldBase&) = delete;

  const void* const address;  // of the value
  std::atomic<bool> marked_broken{false};
  std::atomic<bool> announced_intact{false};
  Occupancy::Place place;  // left after the value was destroyed
};
using HeldPointer = std::shared_ptr<HeldBase>;

struct DurableHooks {
  std::function<Async<HeldPointer>()> create;
  std::function<bool(HeldBase&)> is_broken;
  std::function<Async<HeldPointer>(HeldPointer)> rebuild;  // may be empty
  std::function<Async<void>(HeldPointer)> probe;           // may be empty
};

struct DurableSettings {
  std::string name;
  Env env;
  Executor executor;
  Duration attempt_deadline = kForever;
  std::optional<RetryOptions> retry;
  std::uint32_t attempt_limit = 0;
  std::function<bool(const Error&)> is_permanent;
  std::optional<Duration> repair_every;
  Overlap overlap = Overlap::allowed;
  std::size_t max_waiters = 0;
  metrics::Registry* metrics = nullptr;
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

  // The hot path: the value that may be usable; null where there is none, or an attempt runs.
  HeldPointer current() {
    std::lock_guard lock(mutex_);
    ++statistics_.calls;
    return attempt_ ? nullptr : value_;
  }

  // Asks the hook. What it throws is an error of kind `internal`.
  Result<bool> is_broken(HeldBase& held) const;

  // Joins the attempt under way, or begins one, and returns what it built. `seen`: what the caller
  // found broken; if there is another value by now, that one is returned.
  Async<HeldPointer> heal(HeldPointer seen);

  // A value that was announced as broken is intact again by itself.
  void announce_intact(const HeldPointer& held);
  // Asks is_broken now and publishes what changed.
  Result<bool> check();
  // `value`: the address of the one that is meant; null: the present one, whichever it is.
  void invalidate(const void* value);
  void reset();
  void close();
  static Task<void> join(std::shared_ptr<DurableCore> core);
  void start_repair();

  const Bus<bool>& is_intact() const { return is_intact_; }
  DurableStatistics statistics() const;

  Error broken_after_build() const;

 private:
  using Outcome = Result<HeldPointer>;
  using Waiters = std::map<std::uint64_t, OneShot<Outcome>>;  // in the order they came
  struct Attempt {
    std::shared_ptr<Cancellable> task = std::make_shared<Cancellable>();
    MonotonicTime begun{};
    Waiters waiters;                // with the lock
    std::uint64_t last_waiter = 0;  // with the lock
    bool waits_for_place = false;   // with the lock; see Overlap::never
    HeldPointer broken;             // what is to be rebuilt; null: create
  };
  using AttemptPointer = std::shared_ptr<Attempt>;
  class Leave;
  class Reporter;
  struct Meters;

  // The reporter is the frame's from its beginning: the coroutine may be destroyed before it ran.
  static Task<void> run(std::shared_ptr<DurableCore> core, AttemptPointer attempt,
                        std::shared_ptr<Reporter> reporter);
  static Async<HeldPointer> build(DurableCore& core, Attempt& attempt);
  static Task<void> repair_loop(std::shared_ptr<DurableCore> core);
  static Task<void> ask_probe(std::shared_ptr<DurableCore> core, HeldPointer held,
                              OneShot<Status> answer);

  void start(const AttemptPointer& attempt, const Executor& executor);
  void finish(const AttemptPointer& attempt, Outcome built);
  void abandon(const AttemptPointer& attempt, const Error& why);
  void pass_deadline(const AttemptPointer& attempt);
  static void answer(Waiters waiters, Outcome outcome, Resume how);
  Task<bool> repair_once();
  Async<void> probe(HeldPointer held);
  MonotonicTime next_repair(bool intact);
  void wake_repair();

  // With the lock held. What announce() posts is delivered after it is released.
  std::optional<Error> refusal();  // why no attempt may begin now
  void announce(bool intact);
  void note_broken();
  void note_failure(const Error& error, bool permanent);
  void note_success(const Attempt& attempt);

  const DurableHooks hooks_;
  const DurableSettings settings_;
  const std::unique_ptr<Meters> meters_;  // null: none wanted
  Gate builders_;                         // and probes, and the loop of eager repair
  const std::shared_ptr<Occupancy> occupancy_ = std::make_shared<Occupancy>();
  Bus<bool> is_intact_;

  mutable std::mutex mutex_;
  HeldPointer value_;
  AttemptPointer attempt_;
  std::optional<Pace> pace_;
  std::optional<Error> permanent_;  // no more attempts until reset()
  std::size_t builders_at_once_ = 0;  // attempts that have begun and whose coroutine is there
  bool announced_ = false;
  bool closed_ = false;
  DurableStatistics statistics_;
  std::shared_ptr<Cancellable> repair_;
  OneShot<std::monostate> repair_wake_;
};

}  // namespace internal
}  // namespace semper
