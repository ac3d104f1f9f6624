#include "scenario.h"

#include <algorithm>
#include <cmath>

#include "semper/env/random.h"

namespace semper::simulation {
namespace {

// Handlers that may still run before a disturbance falls into the midst of something.
constexpr std::uint64_t kStepsAtMost = 120;
constexpr std::size_t kDisturbancesAtMost = 200;

using Kind = Disturbance::Kind;

class Drawing {
 public:
  Drawing(const Plan& plan, std::uint64_t seed)
      : plan_(plan), random_(seed ^ 0x5eed5eed5eed5eed), of_links_(seed ^ 0x11c511c511c511c5) {}

  void draw_values(Scenario& scenario) {
    for (const auto& [key, span] : plan_.spans) {
      // As many draws whatever the plan says, so that two plans differ only where they say so.
      // Those of links came last; what seeds draw besides them is what they have drawn before.
      auto& random = key.starts_with("link.") ? of_links_ : random_;
      const bool is_off = random.chance(span.off);
      double value = span.low + random.unit() * (span.high - span.low);
      if (unit_of(key) == Unit::number) {
        value = std::floor(span.low + random.unit() * (span.high - span.low + 1));
        value = std::min(value, span.high);
      }
      scenario.values[key] = is_off ? 0 : value;
    }
  }

  void draw_disturbances(Scenario& scenario) {
    if (!plan_.fixed.empty()) {
      scenario.disturbances = plan_.fixed;
    } else {
      every(scenario, Kind::crash, "crash.every", "crash.down");
      every(scenario, Kind::pause, "pause.every", "pause.length");
      every(scenario, Kind::restart, "restart.every", "crash.down");
      every(scenario, Kind::loop_destroyed, "loop_destroyed.every", "crash.down");
      every(scenario, Kind::loop_stalled, "loop_stalled.every", "loop_stalled.length");
      every(scenario, Kind::cut_off, "cut_off.every", "cut_off.length");
      every(scenario, Kind::calendar, "calendar.every", "calendar.by");
    }
    std::stable_sort(scenario.disturbances.begin(), scenario.disturbances.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
  }

  void draw_workloads(Scenario& scenario, std::vector<std::string> from) {
    auto left = std::max<std::size_t>(scenario.count("together"), 1);
    if (left >= from.size()) {
      scenario.workloads = std::move(from);
      return;
    }
    for (; left > 0 && !from.empty(); --left) {
      const auto place = static_cast<std::ptrdiff_t>(random_.below(from.size()));
      scenario.workloads.push_back(from[static_cast<std::size_t>(place)]);
      from.erase(from.begin() + place);
    }
  }

 private:
  void every(Scenario& scenario, Kind kind, const char* interval, const char* length) {
    const double pause = scenario.values.at(interval);
    if (pause <= 0) return;
    const double end = scenario.values.at("duration");
    double at = 0;
    for (std::size_t i = 0; i < kDisturbancesAtMost; ++i) {
      at += pause * (0.3 + 1.4 * random_.unit());
      if (at >= end) return;
      Disturbance made;
      made.kind = kind;
      made.at = seconds(at);
      made.process = static_cast<std::size_t>(random_.below(scenario.processes()));
      made.steps = random_.below(kStepsAtMost);
      made.length = seconds(scenario.values.at(length) * random_.unit());
      if (kind == Kind::calendar && random_.chance(0.5)) made.length = -made.length;
      scenario.disturbances.push_back(made);
    }
  }

  const Plan& plan_;
  SeededRandom random_;
  SeededRandom of_links_;
};

}  // namespace

testing::StoreFaults Scenario::store_faults() const {
  testing::StoreFaults faults;
  faults.conflict = rate("store.conflict");
  faults.unknown_applied = rate("store.unknown_applied");
  faults.unknown_lost = rate("store.unknown_lost");
  faults.unknown_late = rate("store.unknown_late");
  faults.late_by = time("store.late_by");
  faults.snapshot_refused = rate("store.snapshot_refused");
  faults.delay = rate("store.delay");
  faults.delay_by = time("store.delay_by");
  faults.slow = rate("store.slow");
  faults.slow_by = time("store.slow_by");
  faults.watch_late = rate("store.watch_late");
  faults.watch_late_by = time("store.watch_late_by");
  faults.watch_spurious = rate("store.watch_spurious");
  faults.link_refused = rate("link.refused");
  faults.link_cut = rate("link.cut");
  faults.link_late = rate("link.late");
  faults.link_late_by = time("link.late_by");
  faults.link_silent = rate("link.silent");
  return faults;
}

std::string Scenario::to_plan() const {
  std::string text = "# seed " + std::to_string(seed) + " of the plan " + plan + "\nworkloads";
  for (const auto& name : workloads) text += " " + name;
  text += "\n";
  for (const auto& [key, value] : values) {
    // What they drew stands below.
    const bool draws = key.ends_with(".every");
    text += key + " " + format_value(draws ? 0 : value, unit_of(key)) + "\n";
  }
  for (const auto& disturbance : disturbances) text += to_text(disturbance) + "\n";
  return text;
}

Result<Scenario> draw_scenario(const Plan& plan, std::uint64_t seed, const KnownWorkloads& known,
                               const std::string& only) {
  const auto is_known = [&](const std::string& name) {
    return std::find(known.names.begin(), known.names.end(), name) != known.names.end();
  };
  std::vector<std::string> from = plan.workloads;
  if (from == std::vector<std::string>{"all"}) from = known.all;
  if (!only.empty()) from = {only};
  for (const auto& name : from) {
    if (is_known(name)) continue;
    std::string names;
    for (const auto& each : known.names) names += " " + each;
    return fail(ErrorKind::invalid_argument,
                "there is no workload \"" + name + "\"; known:" + names);
  }
  Scenario scenario;
  scenario.plan = plan.name;
  scenario.seed = seed;
  Drawing drawing(plan, seed);
  drawing.draw_values(scenario);
  // Somebody serves, and somebody asks.
  scenario.values["hosts"] = std::max(scenario.values["hosts"], 1.0);
  scenario.values["clients"] = std::max(scenario.values["clients"], 1.0);
  scenario.values["entities"] = std::max(scenario.values["entities"], 1.0);
  drawing.draw_disturbances(scenario);
  drawing.draw_workloads(scenario, std::move(from));
  return scenario;
}

}  // namespace semper::simulation
