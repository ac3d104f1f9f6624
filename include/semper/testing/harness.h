// Harness: tests your behaviours in simulated time, with faults at every point where things may
// break.
//
// What for: testing your behaviours (server/behaviour.h). A test without faults has three lines:
//
//   Harness harness;
//   harness.serve<Account>();
//   EXPECT_EQ(harness.call<Account::Open>(harness.ref<Account>("a"), 50).value(), 50);
//
// and a test with all faults says what a program does, and what must be true whatever happens:
//
//   harness.invariant<Account>([](const auto& account) -> semper::Status { ... });   // of one
//   harness.check("the sum", [](Harness& h) -> semper::Status { ... });              // of all
//   const auto report = harness.explore([&] {
//     static_cast<void>(harness.call<Account::Transfer>(harness.ref<Account>("a"), "b", 5));
//   });
//   EXPECT_TRUE(report.passed()) << report;
//
// explore() first runs the scenario twice without a fault, and counts its points: the processes'
// requests to the store (before each read and commit, after each commit) and the timers that
// handle_locked awaits. Then it runs the scenario again for each point and fault:
//
//   crash            the process crashes at that point, and a new one takes its place
//   cancel           whatever the scenario waits for is cancelled there
//   conflict         that commit loses to another one
//   unknown_applied  its answer is lost, and it was applied
//   unknown_lost     its answer is lost, and it was not
//
// At the end of each run, faults stop, everything settles, and the harness checks that no message
// waits, no lock is held, nothing was set aside, no call was answered twice, the invariants (also
// after each callback) and checks hold, and no EXPECT_ in the scenario failed. A failure has a
// name, such as "queued:crash@17", which repeats the same run: HARNESS_ONLY=queued:crash@17, or
// only().
//
// In a run with a fault, an answer may be an error, as in a program: outcome_unknown if the process
// crashed or the answer was lost, or cancelled. So a scenario checks only what must be true anyway.
//
// When not: threads, real networks and stores other than memory, and code that reads the system
// clock, sleeps or draws its own random numbers (two runs differ, which is a finding). There is one
// fault per run, and no fault strikes inside a callback or a handle_locked that blocks. The harness
// replaces the log sink while it exists.
// Threads: one. Ideas: FoundationDB's simulation, Akka's persistence test kit, CHESS.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "semper/server/ref.h"
#include "semper/testing/harness_report.h"
#include "semper/testing/internal/harness_engine.h"
#include "semper/testing/internal/harness_work.h"

namespace semper::testing {

// A call in progress: Harness::begin_call.
template <class T>
class HarnessCall {
 public:
  bool is_answered() const { return answer_->has_value(); }

 private:
  friend class Harness;
  using Answer = std::shared_ptr<std::optional<Result<T>>>;
  HarnessCall(std::shared_ptr<internal::HarnessOperation> operation, Answer answer)
      : operation_(std::move(operation)), answer_(std::move(answer)) {}
  std::shared_ptr<internal::HarnessOperation> operation_;
  Answer answer_;
};

class Harness {
 public:
  explicit Harness(HarnessOptions options = {}) : engine_(std::move(options)) {}

  // Call it before anything is sent. Each process of each run gets its own behaviour from `make`,
  // as a starting program would: data in its members is lost with its process.
  template <BehaviourType B>
  void serve() {
    serve<B>([] { return std::make_shared<B>(); });
  }
  template <BehaviourType B>
  void serve(std::function<std::shared_ptr<B>()> make);

  template <BehaviourType B>
  Ref<B> ref(std::string id) {
    return semper::ref<B>(engine_.tenant(), std::move(id));
  }

  // Uses a handle on the store that never crashes.
  Tenant tenant() { return engine_.tenant(); }

  // These return when they have their answer, and move time as far as that takes; a Ref may come
  // from an earlier run. Errors: those of Ref; also outcome_unknown if the process crashed.
  template <class M, class B, class... Parts>
  requires HandlesCall<B, M> Result<typename M::Reply> call(const Ref<B>& to, Parts&&... parts) {
    return wait(begin_call<M>(to, std::forward<Parts>(parts)...));
  }
  template <class M, class B, class... Parts>
  requires HandlesCast<B, M> Status cast(const Ref<B>& to, Parts&&... parts);
  // Bypasses queue and lock, in the host's process.
  template <class M, class B, class... Parts>
  requires HandlesInfo<B, M> Status info(const Ref<B>& to, Parts&&... parts);
  // For a callback that replies later: is_answered() says whether it has, and wait() waits until it
  // has.
  template <class M, class B, class... Parts>
  requires HandlesCall<B, M> HarnessCall<typename M::Reply> begin_call(const Ref<B>& to,
                                                                       Parts&&... parts);
  template <class T>
  Result<T> wait(HarnessCall<T> call);

  // Runs a part of your program in the caller's process, which may crash meanwhile: work(Tenant) ->
  // Async<T>. It must not hand out references to its own data.
  template <class Work>
  auto run(std::string what, Work work) -> typename std::invoke_result_t<Work&, Tenant>::value_type;

  // Lets simulated time pass, and everything due in it happen.
  void advance(Duration span) { engine_.advance(span); }
  // Waits until everything has settled: no message waits, and no lock is held. Error: timeout,
  // which names what has not settled.
  Status settle() { return engine_.settle(); }
  // The host's process (and the caller's, if it is the same) crashes now and is started again.
  void crash() { engine_.crash(); }
  WallTime now() { return engine_.now(); }
  // Loads the output of `semper record` into the store; for explore(), call it before, or in the
  // scenario. Errors: not_found, corrupt, unsupported, already_exists.
  Status load(const std::string& file) { return engine_.load(file); }

  // Reads the state without anything else happening. Error not_found: it has no state yet.
  template <class B>
  Result<typename B::State> state(const Ref<B>& of);
  // By their ids.
  template <BehaviourType B>
  std::map<std::string, typename B::State> states();
  template <class B>
  std::vector<QueuedView> queue(const Ref<B>& of) {
    return looked(peek_queue(engine_.tenant(), of.entity(), kLookedAt));
  }
  template <class B>
  std::vector<DeadLetterView> dead_letters(const Ref<B>& of) {
    return looked(list_dead_letters(engine_.tenant(), of.entity(), kLookedAt));
  }

  // Messages of this type that were put into that entity's queue in this run, handled or not: those
  // that callbacks send to other entities, and those that callers send through the queue. The type
  // need not be served.
  template <class M, class B>
  std::vector<M> sent(const Ref<B>& to);
  // Actions that ran after their commits, in order: "Account/a Transfer", the entity and the
  // message.
  std::vector<std::string> actions() { return engine_.actions(); }

  // The outside world, which no crash undoes: a fake payment provider calls
  // harness.happened("charged 17"), and a check uses harness.times("charged 17"). In a callback
  // that is part of a transaction it is a finding, because such a callback runs again after a
  // conflict.
  void happened(const std::string& what) { engine_.happened(what); }
  std::size_t times(const std::string& what) { return engine_.times(what); }

  // Checked for each state of B that a callback leaves, and for those that are left at the end.
  // Precondition: B is served (std::logic_error).
  template <BehaviourType B>
  void invariant(std::function<Status(const typename B::State&)> holds) {
    engine_.add_invariant(type_name<B>(), [holds = std::move(holds)](const void* state) {
      return holds(*static_cast<const typename B::State*>(state));
    });
  }
  // Checked at the end of each run, when everything has settled.
  void check(std::string name, std::function<Status(Harness&)> holds) {
    engine_.add_check(std::move(name), std::move(holds));
  }
  // Resets data that a scenario keeps outside the harness, before each run.
  void before_each(std::function<void()> hook) { engine_.before_each(std::move(hook)); }

  HarnessReport explore(const std::function<void()>& scenario) {
    return engine_.explore(*this, scenario);
  }
  // explore() makes only this run: "queued:crash@17", or "crash@17" on each path. The environment
  // variable HARNESS_ONLY takes precedence.
  void only(std::string run) { engine_.only(std::move(run)); }

  // What has happened so far, one line per event.
  std::vector<std::string> history() { return engine_.history(); }

 private:
  static constexpr std::size_t kLookedAt = 10'000;

  template <class T>
  T looked(Async<T> looking);
  template <class R, class Work>
  std::pair<std::shared_ptr<internal::HarnessOperation>, std::shared_ptr<std::optional<R>>> begin(
      std::string what, Work work, internal::HarnessPlace place);
  template <class R, class Work>
  R perform(std::string what, Work work,
            internal::HarnessPlace place = internal::HarnessPlace::caller);
  template <class M, class B>
  static std::string described(std::string_view how, const Ref<B>& to, const M& message) {
    return std::string(how) + " " + to.entity().to_string() + " " +
           std::string(short_type_name<M>()) + " " + internal::shown_value(message);
  }

  internal::HarnessEngine engine_;
};

}  // namespace semper::testing

#include "semper/testing/internal/harness.h"
