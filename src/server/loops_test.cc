// Work of several loops that meets in one place, where one of the loops is destroyed, or not run again.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_clock.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::SimulatedClock;

struct Tally {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) { return s += m.by; }
  void handle_cast(const Add& m, State& s, Context&) { s += m.by; }
};

// Commits wait until they are let through.
class GatedBackend final : public Backend {
 public:
  explicit GatedBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return inner_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override { return inner_->snapshot(); }
  Async<CommitReceipt> commit(CommitRequest request) override {
    if (closed) {
      OneShot<std::monostate> through;
      waiting.push_back(through);
      SEMPER_CO_TRY_STATUS(co_await through.wait());
    }
    co_return co_await inner_->commit(std::move(request));
  }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

  bool closed = false;
  std::deque<OneShot<std::monostate>> waiting;
  void let_one_through() {
    auto first = waiting.front();
    waiting.pop_front();
    first.set({});
  }
  void open() {
    closed = false;
    while (!waiting.empty()) let_one_through();
  }

 private:
  std::shared_ptr<Backend> inner_;
};

using Loop = asio::io_context;

// Loops that run when they are told to, in simulated time.
class Loops : public ::testing::Test {
 protected:
  Loops() : a(std::make_unique<Loop>(1)) {
    register_builtin_backends();
    env_.clock = &clock_;
    std::shared_ptr<Backend> inner;
    asio::co_spawn(
        host_loop, open_backend("memory:", env_),
        [&](std::exception_ptr, Result<std::shared_ptr<Backend>> opened) { inner = *opened; });
    run({&host_loop});
    gate = std::make_shared<GatedBackend>(inner);
    store.emplace(gate, env_);
  }
  ~Loops() override {
    gate->open();
    a.reset();
    host.reset();
  }

  void serve() {
    HostOptions options;
    options.executor = host_loop.get_executor();
    host = std::make_unique<Host>(*store, options);
    host->serve<Tally>();
  }

  // Until nothing is ready on any of them.
  static void run(std::vector<Loop*> loops) {
    for (bool ran = true; ran;) {
      ran = false;
      for (Loop* loop : loops) {
        loop->restart();
        ran = loop->poll() > 0 || ran;
      }
    }
  }
  void pass(Duration span, const std::vector<Loop*>& loops) {
    for (Duration passed{}; passed < span; passed += 100ms) {
      clock_.advance(100ms);
      run(loops);
    }
  }

  // What came of a cast that a loop sends; nothing while it waits.
  using Outcome = std::shared_ptr<std::optional<Status>>;
  Outcome cast(Loop& loop) {
    auto outcome = std::make_shared<std::optional<Status>>();
    asio::co_spawn(
        loop,
        [](Ref<Tally> to, Outcome out) -> Task<void> {
          out->emplace(co_await to.cast(Tally::Add{1}));
        }(ref<Tally>(*store, "t"), outcome),
        asio::detached);
    return outcome;
  }

  // The loop A is committing a cast of B, another one of B waits.
  std::pair<Outcome, Outcome> leave_work_of_b_with_a() {
    gate->closed = true;
    cast(*a);
    run({a.get()});
    const auto in_batch = cast(b);
    cast(*a);  // so that A goes on
    run({&b, a.get()});
    gate->let_one_through();
    run({a.get()});
    EXPECT_EQ(gate->waiting.size(), 1u) << "the second batch is being committed";
    const auto waiting = cast(b);
    run({&b});
    EXPECT_FALSE(*in_batch);
    EXPECT_FALSE(*waiting);
    gate->closed = false;
    return {in_batch, waiting};
  }
  // B's work is answered, and B can go on.
  void expect_answers(const Outcome& in_batch, const Outcome& waiting) {
    EXPECT_TRUE(*in_batch) << "hangs";
    if (*in_batch) {
      const Status& status = **in_batch;
      EXPECT_FALSE(status);
      if (!status) {
        EXPECT_EQ(status.error().kind(), ErrorKind::outcome_unknown);
      }
    }
    EXPECT_TRUE(*waiting) << "hangs";
    if (*waiting && !**waiting) {
      EXPECT_EQ((*waiting)->error().kind(), ErrorKind::closed) << "it was not begun";
    }
    const auto later = cast(b);
    run({&b, &host_loop});
    EXPECT_TRUE(*later && **later);
  }

  SimulatedClock clock_;
  Env env_;
  Loop host_loop{1};
  std::unique_ptr<Loop> a;
  Loop b{1};
  std::shared_ptr<GatedBackend> gate;
  std::optional<Store> store;
  std::unique_ptr<Host> host;
};

TEST_F(Loops, callers_are_told_when_the_loop_that_ran_their_messages_is_destroyed) {
  serve();
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  a.reset();
  run({&b, &host_loop});
  expect_answers(in_batch, waiting);
}

TEST_F(Loops, sends_go_on_when_the_loop_that_sent_is_destroyed) {
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  a.reset();
  run({&b});
  expect_answers(in_batch, waiting);
}

TEST_F(Loops, sends_go_on_when_the_loop_that_sent_is_never_run_again) {
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  pass(4s, {&b});
  expect_answers(in_batch, waiting);
  gate->open();
  run({a.get(), &b});
  const auto later = cast(*a);
  run({a.get(), &b});
  EXPECT_TRUE(*later && **later);
}

}  // namespace
}  // namespace semper
