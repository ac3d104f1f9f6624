#include "testing/harness/enumeration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

namespace semper::testing::internal {
namespace {

std::string wanted_run(std::string only) {
  const char* environment = std::getenv("HARNESS_ONLY");
  return environment != nullptr && *environment != '\0' ? environment : only;
}

// Failures of the GoogleTest case that runs; none where there is no such case.
std::size_t failures_of_test() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  if (test == nullptr) return 0;
  std::size_t failures = 0;
  const auto& result = *test->result();
  for (int i = 0; i < result.total_part_count(); ++i) {
    failures += result.GetTestPartResult(i).failed() ? 1u : 0u;
  }
  return failures;
}

std::string repeat_command(const std::string& run) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string command = "HARNESS_ONLY=" + run + " " + (error ? "PROGRAM" : program.string());
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  if (test == nullptr) return command;
  return command + " --gtest_filter='" + test->test_suite_name() + "." + test->name() + "'";
}

// Which line the second run has another one in.
std::string first_difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const std::size_t both = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < both; ++i) {
    if (a[i] != b[i]) return "first\n    " + a[i] + "\n  and then\n    " + b[i];
  }
  return "one of them is longer";
}

constexpr HarnessFault kFaults[] = {HarnessFault::crash, HarnessFault::cancel,
                                    HarnessFault::conflict, HarnessFault::unknown_applied,
                                    HarnessFault::unknown_lost};

bool can_strike(HarnessFault fault, const HarnessWorld::Point& point) {
  if (!point.is_news) return false;
  if (fault == HarnessFault::crash) return true;
  if (fault == HarnessFault::cancel) return point.has_operation;
  return point.kind == PointKind::commit;
}

// "queued:crash@17", "crash@17", "queued".
struct Named {
  std::optional<HarnessPath> path;
  HarnessFault fault = HarnessFault::none;
  std::size_t at = 0;
};
std::optional<Named> parse_run(std::string_view text) {
  Named named;
  for (const auto path : {HarnessPath::direct, HarnessPath::queued}) {
    const std::string name = HarnessPlan{path, HarnessFault::none, 0}.name();
    if (!text.starts_with(name)) continue;
    named.path = path;
    text.remove_prefix(name.size());
    if (text.empty()) return named;
    if (text.front() != ':') return std::nullopt;
    text.remove_prefix(1);
    break;
  }
  const auto at = text.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view number = text.substr(at + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), named.at);
  if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  for (const auto fault : kFaults) {
    if (text.substr(0, at) == to_string(fault)) named.fault = fault;
  }
  if (named.fault == HarnessFault::none) return std::nullopt;
  return named;
}

}  // namespace

HarnessEnumeration::HarnessEnumeration(const HarnessOptions& options, std::string only)
    : options_(options), only_(wanted_run(std::move(only))) {}

HarnessReport HarnessEnumeration::make_all(const Run& run) {
  run_ = &run;
  if (!only_.empty()) {
    make_only();
  } else {
    for (const auto path : options_.paths) {
      if (!has_enough()) count_points(path);
    }
    report_.possible = report_.runs + plans_.size();
    const std::size_t most = std::max(options_.runs_maximum, report_.runs) - report_.runs;
    const std::size_t made = std::min(plans_.size(), most);
    for (std::size_t i = 0; i < made && !has_enough(); ++i) {
      make_one(plans_[i * plans_.size() / made]);
    }
    if (has_enough() && report_.runs < report_.possible) {
      remarks_.insert("it ended after " + std::to_string(report_.findings.size()) +
                      " findings (HarnessOptions::findings_maximum)");
    } else if (made < plans_.size()) {
      remarks_.insert(
          "a part of the runs was made, evenly spread "
          "(HarnessOptions::runs_maximum)");
    }
  }
  report_.remarks.assign(remarks_.begin(), remarks_.end());
  return std::move(report_);
}

// The run without a fault, twice: what differs depends on something outside of the store.
void HarnessEnumeration::count_points(HarnessPath path) {
  const HarnessPlan plan{path, HarnessFault::none, 0};
  const std::size_t before = report_.findings.size();
  const HarnessWorld& first = make_one(plan);
  if (report_.findings.size() > before) return;
  const auto history = first.history();
  const auto points = first.points();
  const HarnessWorld& second = (*run_)(plan);
  ++report_.runs;
  if (second.history() != history) {
    add_finding(plan,
                "the same run went another way the second time, so no run can be repeated: a "
                "behaviour or the scenario depends on something outside of its state, a global or "
                "static variable, the system's clock or randomness, an address. " +
                    first_difference(history, second.history()),
                second.history());
    return;
  }
  report_.points += points.size();
  for (const auto fault : kFaults) {
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (can_strike(fault, points[i])) plans_.push_back({path, fault, i + 1});
    }
  }
}

void HarnessEnumeration::make_only() {
  const auto named = parse_run(only_);
  if (!named) {
    add_finding({}, "\"" + only_ + "\" names no run; one is named \"queued:crash@17\"", {});
    return;
  }
  for (const auto path : options_.paths) {
    if (named->path && *named->path != path) continue;
    make_one({path, named->fault, named->at});
  }
  report_.possible = report_.runs;
  remarks_.insert("only " + only_ + " was run");
}

HarnessWorld& HarnessEnumeration::make_one(HarnessPlan plan) {
  ++report_.runs;
  const std::size_t failures = failures_of_test();
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, "in the run " + plan.name());
  HarnessWorld& world = (*run_)(plan);
  remarks_.insert(world.remarks().begin(), world.remarks().end());
  if (plan.fault != HarnessFault::none && !world.has_struck()) {
    world.finding(
        "the run has no such point: it went another way than when the points were "
        "counted, or the name is of another program");
  }
  if (failures_of_test() > failures) world.finding("an EXPECT_ or ASSERT_ failed in it");
  if (world.findings().empty()) return world;
  std::string what;
  for (const auto& one : world.findings()) what += (what.empty() ? "" : "\n  ") + one;
  add_finding(plan, what, world.history());
  return world;
}

void HarnessEnumeration::add_finding(const HarnessPlan& plan, const std::string& what,
                                     const std::vector<std::string>& history) {
  HarnessFinding finding;
  finding.run = plan.name();
  finding.what = what;
  finding.repeat = repeat_command(finding.run);
  const std::size_t left_out =
      history.size() > kHarnessHistory ? history.size() - kHarnessHistory : 0;
  finding.history.assign(history.begin() + static_cast<std::ptrdiff_t>(left_out), history.end());
  report_.findings.push_back(std::move(finding));
}

}  // namespace semper::testing::internal
