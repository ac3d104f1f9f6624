// Commands on journals: `semper journal push|list|run`. A journal is a ring whose items are
// performed by the process that holds it (semper/ring/journal.h); while one does, these are refused
// (`conflict`), but for list, which takes no role.
#pragma once

#include <string>
#include <vector>

#include "common/invocation.h"
#include "ring/device.h"

namespace semper::cli {

struct JournalRunArguments {
  RingPlace place;
  std::vector<std::string> command;  // a program and its arguments; no shell
};
// Performs every item that is there by running the command with the item as its standard input; an
// item is removed when its command has ended with 0. The first that does not ends it: that item and
// those behind it stay. Errors: internal, with the position and how the command ended.
Async<void> journal_run(Invocation& invocation, JournalRunArguments arguments);

}  // namespace semper::cli
