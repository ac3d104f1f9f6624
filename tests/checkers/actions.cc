#include "actions.h"

#include <map>

namespace semper::testing {

std::vector<std::string> judge_actions(const std::string& entity,
                                       const std::vector<ActionRun>& runs,
                                       const std::set<std::uint64_t>& committed,
                                       ActionsExpected expected) {
  std::vector<std::string> wrong;
  std::map<std::uint64_t, int> times;
  const auto blame = [&](std::uint64_t message, const std::string& what) {
    wrong.push_back(entity + ": the action of message " + std::to_string(message) + " " + what);
  };
  for (const auto& run : runs) {
    if (++times[run.message] == 2) blame(run.message, "ran more than once");
    if (!committed.contains(run.message)) blame(run.message, "ran, and was never committed");
    if (!run.state_had_it) blame(run.message, "was given a state without it");
  }
  if (expected == ActionsExpected::at_most_once) return wrong;
  for (const auto message : committed) {
    if (!times.contains(message)) blame(message, "did not run, and nothing had gone wrong");
  }
  return wrong;
}

}  // namespace semper::testing
