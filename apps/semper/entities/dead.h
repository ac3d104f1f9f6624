// semper dead: the messages of an entity that failed and were set aside; listing them, putting them
// back, deleting them.
#pragma once

#include <string>
#include <vector>

#include "common/invocation.h"

namespace semper::cli {

struct DeadArguments {
  std::string entity;
  std::size_t limit = 20;  // 0: all
  bool redrive = false;
  bool remove = false;
  bool purge = false;
  bool count = false;
  std::vector<std::string> letters = {};  // versionstamps
  std::string older_than = {};            // empty: whatever their age
};
Async<void> run_dead(Invocation& invocation, DeadArguments arguments);

}  // namespace semper::cli
