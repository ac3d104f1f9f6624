#include "simulation.h"

#include <utility>

#include "semper/base/log.h"

namespace semper::simulation {

namespace {

std::string next_store_url() {
  static std::uint64_t number = 0;
  return "memory:simulation-" + std::to_string(++number);
}

}  // namespace

bool Loop::run_one() {
  context_->restart();
  if (context_->poll_one() == 0) return false;
  if (dues_.empty()) return true;
  // What is due may destroy this loop, and make things due.
  std::vector<std::function<void()>> now;
  for (std::size_t i = 0; i < dues_.size();) {
    if (dues_[i].steps-- > 0) {
      ++i;
      continue;
    }
    now.push_back(std::move(dues_[i].act));
    dues_.erase(dues_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (auto& act : now) act();
  return true;
}

void Loop::after_steps(std::uint64_t steps, std::function<void()> act) {
  dues_.push_back({steps, std::move(act)});
}

Simulation::Simulation(std::uint64_t seed, Trace& trace)
    : store_url_(next_store_url()), random_(seed), order_(seed ^ 0x0bde7), trace_(trace) {
  add_loop(kNoLane).make();
  add_loop(kNoLane).make();
  set_log_sink([this](LogLevel level, std::string_view component, std::string_view message) {
    if (level < LogLevel::warning) return;
    note(
        lane_, EventKind::log,
        std::string(to_string(level)) + " " + std::string(component) + ": " + std::string(message));
  });
}

Simulation::~Simulation() {
  set_log_sink(nullptr);
}

Loop& Simulation::add_loop(std::size_t lane) {
  loops_.push_back(std::make_unique<Loop>(lane));
  return *loops_.back();
}

void Simulation::finding(const std::string& what) {
  note(kNoLane, EventKind::finding, what);
  if (findings_.size() < kFindingsAtMost) findings_.push_back(what);
}

bool Simulation::step() {
  const std::size_t first = order_.below(loops_.size());
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    Loop& loop = *loops_[(first + i) % loops_.size()];
    if (!loop.runs()) continue;
    lane_ = loop.lane();
    if (loop.run_one()) return true;
  }
  lane_ = kNoLane;
  return false;
}

Simulation::End Simulation::run_until(const std::function<bool()>& done, Duration at_most) {
  const MonotonicTime latest = clock_.after(at_most);
  std::uint64_t at_one_time = 0;
  while (!done()) {
    if (step()) {
      ++steps_;
      if (++at_one_time > kStepsAtOneTime) return End::stuck;
      continue;
    }
    at_one_time = 0;
    if (clock_.advance_to_next_timer(latest)) continue;
    const auto next = clock_.next_timer();
    return next && *next != kNever ? End::late : End::stuck;
  }
  return End::done;
}

}  // namespace semper::simulation
