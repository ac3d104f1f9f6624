// Other processes of a case: the test program started again with a role to play.
//
// A role writes lines to its standard output that begin with kLineMark; the case reads them. What
// GoogleTest prints in between is skipped.
#pragma once

#include <optional>
#include <string>

#include "semper/testing/child_process.h"
#include "testing/conformance/world.h"

namespace semper::testing::conformance {

inline constexpr const char* kChildTestName = "plays_its_role_in_another_process";

// How long a case waits for a line, and a child for what it watches.
inline constexpr auto kChildPatience = std::chrono::seconds(60);
// For transactions of several processes at once.
inline TransactOptions for_a_child() {
  return {.max_attempts = 100'000, .timeout = kChildPatience};
}

std::string conformance_suite_name(const StoreUnderTest& store);

// True where this process was started by a case on this store.
bool is_child_of(const StoreUnderTest& store);

// Plays the role that this process was started for.
void run_child_role(const StoreUnderTest& store);

enum class Role : std::uint8_t {
  increment,  // adds 1 to key "counter" by get and set, `count` times
  stamp,      // writes `count` stamped keys "stamp/" + stamp, with `name` and a running number
  set,        // sets key "watched" to `name`
  watch,      // watches key "watched"; says "watching", then "fired"
  pairs,      // sets "left" and "right" to 1, 2, 3, ... together, says each number when it is sure
};

struct RoleOptions {
  Role role = Role::set;
  int count = 1;
  std::string name = "child";
};

class RolePlayer {
 public:
  RolePlayer(const World& world, const RoleOptions& options);

  // The next line it says; blocks this thread. Empty: it has ended.
  std::optional<std::string> next_line();
  // SIGKILL.
  void kill() { process_.kill_hard(); }
  // Waits for its end and checks that it was a good one.
  void must_succeed();

 private:
  ChildProcess process_;
};

}  // namespace semper::testing::conformance
