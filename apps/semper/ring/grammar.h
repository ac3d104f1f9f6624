// The grammar of the commands on rings and journals.
#pragma once

#include "common/command.h"

namespace semper::cli {

// Add their commands; when one of them is parsed it becomes `chosen`.
void add_ring_commands(CLI::App& program, Command& chosen);
void add_journal_commands(CLI::App& program, Command& chosen);

}  // namespace semper::cli
