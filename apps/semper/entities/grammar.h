// The grammar of the commands on entities.
#pragma once

#include "common/command.h"

namespace semper::cli {

// Adds its commands; when one of them is parsed it becomes `chosen`.
void add_entity_commands(CLI::App& program, Command& chosen);

}  // namespace semper::cli
