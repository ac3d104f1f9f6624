// Did an action run more than once, or for a message that was never committed, or on another state?
//
// What must hold: at most one run for each message; only for messages that the final state holds;
// and the state that it was given held the message. `certain`: nothing went wrong, so that each
// ran.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace semper::testing {

struct ActionRun {
  std::uint64_t message = 0;
  bool state_had_it = true;
};

enum class ActionsExpected : std::uint8_t { at_most_once, once };

std::vector<std::string> judge_actions(const std::string& entity,
                                       const std::vector<ActionRun>& runs,
                                       const std::set<std::uint64_t>& committed,
                                       ActionsExpected expected = ActionsExpected::at_most_once);

}  // namespace semper::testing
