// Loops that run when a test tells them to, in simulated time, on one store whose commits can be
// held.
#pragma once

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
#include "semper/store/internal/passed_neighbours.h"
#include "semper/store/recent_changes.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/simulated_clock.h"

namespace semper::testing {

using namespace std::chrono_literals;

// Commits wait until they are let through.
class GatedBackend final : public Backend,
                           public RecentChanges,
                           public semper::internal::PassedNeighbours {
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
    if (full_for > 0) {
      --full_for;
      co_return fail(ErrorKind::exhausted, "the disk is full");
    }
    if (refuses) co_return fail(*refuses, "no commit goes through");
    co_return co_await inner_->commit(std::move(request));
  }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::optional<Version> newest_known() const override {
    const auto* known = dynamic_cast<const RecentChanges*>(inner_.get());
    return known == nullptr ? std::nullopt : known->newest_known();
  }
  bool is_known_unchanged(BytesView key, Version since) const override {
    const auto* known = dynamic_cast<const RecentChanges*>(inner_.get());
    return known != nullptr && known->is_known_unchanged(key, since);
  }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

  bool closed = false;
  std::optional<ErrorKind> refuses;
  int full_for = 0;  // so many of the next commits find no room
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
  Neighbours* inner_neighbours() const override { return dynamic_cast<Neighbours*>(inner_.get()); }

  std::shared_ptr<Backend> inner_;
};

using Loop = asio::io_context;

// A: a caller's that is destroyed, or never run again. B: another caller's. And the host's.
class LoopsWorld {
 public:
  // `slow`: every read and commit of the store waits for a timer, once before and once after.
  enum class Pace : std::uint8_t { at_once, slow };
  explicit LoopsWorld(Pace pace = Pace::at_once) : a(std::make_unique<Loop>(1)) {
    register_builtin_backends();
    env_.clock = &clock_;
    env_.random = &random_;
    std::shared_ptr<Backend> inner;
    asio::co_spawn(
        host_loop, open_backend("memory:", env_),
        [&](std::exception_ptr, Result<std::shared_ptr<Backend>> opened) { inner = *opened; });
    run({&host_loop});
    if (pace == Pace::slow) {
      StoreFaults faults;
      faults.delay = 1;
      inner = std::make_shared<FaultyBackend>(inner, env_, faults);
    }
    gate = std::make_shared<GatedBackend>(inner);
    store.emplace(gate, env_);
  }
  ~LoopsWorld() {
    gate->open();
    a.reset();
    host.reset();
  }
  LoopsWorld(const LoopsWorld&) = delete;
  LoopsWorld& operator=(const LoopsWorld&) = delete;

  void make_host() {
    HostOptions options;
    options.executor = host_loop.get_executor();
    host = std::make_unique<Host>(*store, options);
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
  // Until the condition holds; false: it did not within that time.
  bool run_until(const std::function<bool()>& holds, Duration span,
                 const std::vector<Loop*>& loops) {
    const MonotonicTime latest = clock_.after(span);
    while (true) {
      run(loops);
      if (holds()) return true;
      if (!clock_.advance_to_next_timer(latest)) return false;
    }
  }
  // Until A has run so many handlers; false: the condition held before.
  bool run_a(std::size_t handlers, const std::function<bool()>& holds) {
    const MonotonicTime latest = clock_.after(60s);
    for (std::size_t done = 0; done < handlers;) {
      if (holds()) return false;
      a->restart();
      if (a->poll_one() > 0) {
        ++done;
        continue;
      }
      run({&host_loop, &b});
      a->restart();
      if (a->poll_one() > 0) {
        ++done;
      } else if (!clock_.advance_to_next_timer(latest)) {
        return false;
      }
    }
    return !holds();
  }

  SimulatedClock clock_;
  SeededRandom random_{1};
  Env env_;
  Loop host_loop{1};
  std::unique_ptr<Loop> a;
  Loop b{1};
  std::shared_ptr<GatedBackend> gate;
  std::optional<Store> store;
  std::unique_ptr<Host> host;
};

}  // namespace semper::testing
