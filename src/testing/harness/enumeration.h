// HarnessEnumeration: which runs there are, and what came of each.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "semper/testing/harness_report.h"
#include "testing/harness/world.h"

namespace semper::testing::internal {

class HarnessEnumeration {
 public:
  // The world of a run that has come to its end.
  using Run = std::function<HarnessWorld&(HarnessPlan plan)>;

  // `only`: a run's name, or empty; HARNESS_ONLY comes before it.
  HarnessEnumeration(const HarnessOptions& options, std::string only);

  HarnessReport make_all(const Run& run);

 private:
  HarnessWorld& make_one(HarnessPlan plan);
  void count_points(HarnessPath path);
  void make_only();
  bool has_enough() const { return report_.findings.size() >= options_.findings_maximum; }
  void add_finding(const HarnessPlan& plan, const std::string& what,
                   const std::vector<std::string>& history);

  const HarnessOptions& options_;
  const std::string only_;
  const Run* run_ = nullptr;
  std::vector<HarnessPlan> plans_;
  std::set<std::string> remarks_;
  HarnessReport report_;
};

}  // namespace semper::testing::internal
