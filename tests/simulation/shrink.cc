// Makes a failing scenario smaller: drops what it can while it still fails.
#include <algorithm>
#include <set>

#include "campaign.h"

namespace semper::simulation {
namespace {

// Times and numbers that are not faults and stay as they are.
bool is_fault(const std::string& key) {
  return unit_of(key) == Unit::rate;
}

class Shrinking {
 public:
  Shrinking(Shrunk begun, std::uint64_t runs_at_most)
      : best_(std::move(begun)), runs_at_most_(runs_at_most) {}

  Shrunk go() {
    bool better = true;
    while (better && best_.runs < runs_at_most_) {
      better = drop_workloads();
      better = drop_disturbances() || better;
      better = drop_rates() || better;
      better = halve("operations") || better;
      better = lower("clients") || better;
      better = lower("entities") || better;
      better = lower("callers") || better;
      better = lower("hosts") || better;
    }
    return std::move(best_);
  }

 private:
  // Takes it over where it still fails.
  bool try_it(Scenario scenario) {
    if (best_.runs >= runs_at_most_) return false;
    ++best_.runs;
    Trace trace;
    Outcome outcome = run(scenario, trace);
    if (!outcome.failed()) return false;
    best_.scenario = std::move(scenario);
    best_.outcome = std::move(outcome);
    return true;
  }

  // Larger parts first, as in delta debugging (Zeller, 1999).
  bool drop_disturbances() {
    bool any = false;
    for (std::size_t part = best_.scenario.disturbances.size(); part > 0; part /= 2) {
      for (std::size_t at = 0; at < best_.scenario.disturbances.size();) {
        Scenario smaller = best_.scenario;
        const auto begin = smaller.disturbances.begin() + static_cast<std::ptrdiff_t>(at);
        const auto left = smaller.disturbances.size() - at;
        smaller.disturbances.erase(begin,
                                   begin + static_cast<std::ptrdiff_t>(std::min(part, left)));
        if (try_it(std::move(smaller))) {
          any = true;
        } else {
          at += part;
        }
      }
    }
    return any;
  }

  bool drop_rates() {
    bool any = false;
    const auto values = best_.scenario.values;
    for (const auto& [key, value] : values) {
      if (!is_fault(key) || value == 0) continue;
      Scenario smaller = best_.scenario;
      smaller.values[key] = 0;
      any = try_it(std::move(smaller)) || any;
    }
    return any;
  }

  bool drop_workloads() {
    bool any = false;
    for (std::size_t i = 0;
         i < best_.scenario.workloads.size() && best_.scenario.workloads.size() > 1;) {
      Scenario smaller = best_.scenario;
      smaller.workloads.erase(smaller.workloads.begin() + static_cast<std::ptrdiff_t>(i));
      if (try_it(std::move(smaller))) {
        any = true;
      } else {
        ++i;
      }
    }
    return any;
  }

  // By half, or else by a quarter, or by one.
  bool halve(const std::string& key) {
    const std::size_t now = best_.scenario.count(key);
    for (const std::size_t next : {now / 2, now - now / 4, now - 1}) {
      if (next < 1 || next >= now) continue;
      Scenario smaller = best_.scenario;
      smaller.values[key] = static_cast<double>(next);
      if (try_it(std::move(smaller))) return true;
    }
    return false;
  }

  bool lower(const std::string& key) {
    Scenario smaller = best_.scenario;
    const double least = key == "callers" ? 0 : 1;
    if (smaller.values[key] <= least) return false;
    smaller.values[key] -= 1;
    if (key == "hosts" || key == "callers") {
      std::erase_if(smaller.disturbances,
                    [&](const auto& each) { return each.process >= smaller.processes(); });
    }
    return try_it(std::move(smaller));
  }

  Shrunk best_;
  const std::uint64_t runs_at_most_;
};

}  // namespace

std::optional<Shrunk> shrink(const Scenario& scenario, std::uint64_t runs_at_most) {
  Trace trace;
  Shrunk begun{scenario, run(scenario, trace), 1};
  if (!begun.outcome.failed()) return std::nullopt;
  return Shrinking(std::move(begun), runs_at_most).go();
}

}  // namespace semper::simulation
