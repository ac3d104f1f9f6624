// Simulation: one thread, one seed, virtual time, and the loops of several processes that run in
// it.
//
// Which loop runs next is drawn at each step, and what ends a process, a loop or a call is due
// after a number of steps: so it falls between any two awaits. Nothing here knows of workloads or
// of plans.
//
// A step is one handler of one loop. When no loop has anything to run, time goes to the next timer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/env.h"
#include "semper/env/spans.h"
#include "semper/testing/simulated_clock.h"
#include "surface.h"
#include "trace.h"

namespace semper::simulation {

// Something that is due after so many more steps of a loop.
struct Due {
  std::uint64_t steps = 0;
  std::function<void()> act;
};

// A loop that can be stalled, destroyed and made anew.
class Loop {
 public:
  explicit Loop(std::size_t lane) : lane_(lane) {}

  void make() { context_ = std::make_unique<asio::io_context>(1); }
  void destroy() {
    context_.reset();
    dues_.clear();
  }
  bool exists() const { return context_ != nullptr; }
  Executor executor() { return context_->get_executor(); }
  std::size_t lane() const { return lane_; }

  void set_stalled(bool stalled) { is_stalled_ = stalled; }
  bool runs() const { return context_ != nullptr && !is_stalled_; }

  // Runs one handler. False: none was ready.
  bool run_one();
  // `act` is called between two handlers; never where the loop is destroyed before.
  void after_steps(std::uint64_t steps, std::function<void()> act);

 private:
  const std::size_t lane_;
  std::unique_ptr<asio::io_context> context_;
  bool is_stalled_ = false;
  std::vector<Due> dues_;
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, Trace& trace);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  testing::SimulatedClock& clock() { return clock_; }
  Random& random() { return random_; }
  Env env() { return {&clock_, &random_}; }
  Trace& trace() { return trace_; }
  Surface& surface() { return surface_; }
  // Of all hosts; what a process has recorded stays when it is killed.
  SpanBuffer& spans() { return spans_; }

  // Of this run alone: what an earlier one may have left open is not met.
  const std::string& store_url() const { return store_url_; }

  // Since the beginning.
  Duration elapsed() const { return clock_.now() - testing::SimulatedClock::kStart; }
  // A number that grows with each call: which of two things came first.
  std::int64_t moment() { return ++moment_; }
  std::uint64_t steps() const { return steps_; }

  // A loop of the lane; lives as long as the simulation, as does the first one, its own.
  Loop& add_loop(std::size_t lane);
  Loop& own_loop() { return *loops_.front(); }
  // What travels between processes and the store, and outlives them.
  Loop& network() { return *loops_[1]; }

  void note(std::size_t lane, EventKind kind, std::string_view text) {
    trace_.add(elapsed(), lane, kind, text);
  }
  // When something was done to a process that may explain a timeout; before the beginning: never.
  Duration last_disturbance() const { return last_disturbance_; }
  void disturbed() { last_disturbance_ = elapsed(); }

  // A promise was broken.
  void finding(const std::string& what);
  const std::vector<std::string>& findings() const { return findings_; }

  enum class End : std::uint8_t { done, late, stuck };
  // Runs until `done` (looked at between steps), or until no more time is left, or nothing can
  // happen.
  End run_until(const std::function<bool()>& done, Duration at_most);

 private:
  bool step();

  // Steps without time going on, after which a run counts as one that never ends.
  static constexpr std::uint64_t kStepsAtOneTime = 3'000'000;
  static constexpr std::size_t kFindingsAtMost = 50;

  const std::string store_url_;
  testing::SimulatedClock clock_;
  SeededRandom random_;
  SeededRandom order_;  // which loop runs
  Trace& trace_;
  Surface surface_;
  SpanBuffer spans_{{.service = "simulation", .max_spans = 1'000'000}};
  std::int64_t moment_ = 0;
  Duration last_disturbance_ = std::chrono::hours(-1);
  std::uint64_t steps_ = 0;
  std::size_t lane_ = kNoLane;  // whose handler runs
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::string> findings_;
};

}  // namespace semper::simulation
