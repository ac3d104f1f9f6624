// DurableCore: what durable.h does, with the type of the value forgotten.
//
// What for: Durable<T> is a thin template over it. When not: never used directly.
//
// Invariants: at most one attempt is in `attempt_`; while there is one, or after close(), no `with`
// takes the value without waiting; whoever takes an attempt out of `attempt_` answers its waiters.
// No hook, no callback and no destructor of a value runs with the lock held.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

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

namespace internal {

// A value in its box. It is disposed of when the last user lets go of the box.
struct HeldBase {
  virtual ~HeldBase() = default;
  std::atomic<bool> marked_broken{false};
  std::atomic<bool> announced_intact{false};
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
  std::size_t max_waiters = 0;
  metrics::Registry* metrics = nullptr;
};

class DurableCore : public std::enable_shared_from_this<DurableCore> {
 public:
  DurableCore(DurableHooks hooks, DurableSettings settings);
  ~DurableCore();
  DurableCore(const DurableCore&) = delete;
  DurableCore& operator=(const DurableCore&) = delete;

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
  void invalidate();
  void reset();
  void close();
  Task<void> join();
  void start_repair();

  const Bus<bool>& is_intact() const { return is_intact_; }
  DurableStatistics statistics() const;

  Error broken_after_build() const;

 private:
  using Outcome = Result<HeldPointer>;
  struct Attempt {
    std::shared_ptr<Cancellable> task = std::make_shared<Cancellable>();
    std::vector<OneShot<Outcome>> waiters;
    MonotonicTime begun{};
    HeldPointer broken;  // what is to be rebuilt; null: create
  };
  using AttemptPointer = std::shared_ptr<Attempt>;
  class Reporter;
  struct Meters;

  static Task<void> run(std::shared_ptr<DurableCore> core, AttemptPointer attempt);
  static Task<void> repair_loop(std::shared_ptr<DurableCore> core);
  static Task<void> ask_probe(std::shared_ptr<DurableCore> core, HeldPointer held,
                              OneShot<Status> answer);

  void start(const AttemptPointer& attempt, const Executor& executor);
  void finish(const AttemptPointer& attempt, Outcome built);
  void abandon(const AttemptPointer& attempt, const Error& why);
  static void answer(const AttemptPointer& attempt, Outcome outcome, Resume how);
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
  Gate builders_;
  Bus<bool> is_intact_;

  mutable std::mutex mutex_;
  HeldPointer value_;
  AttemptPointer attempt_;
  std::optional<Pace> pace_;
  std::optional<Error> permanent_;  // no more attempts until reset()
  bool announced_ = false;
  bool closed_ = false;
  DurableStatistics statistics_;
  std::shared_ptr<Cancellable> repair_;
  OneShot<std::monostate> repair_wake_;
};

}  // namespace internal
}  // namespace semper
