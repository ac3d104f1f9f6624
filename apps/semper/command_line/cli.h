// The command line: from words to an exit code. CLI11, which is slow to compile, is used by
// cli.cc, completion.cc and the files grammar.cc only.
#pragma once

#include <string>
#include <vector>

#include "common/invocation.h"

namespace semper::cli {

// Runs one command. Errors go to streams.err as "semper: what; what to do next".
int run(std::vector<std::string> arguments, Streams streams, Interrupt& interrupt);
// The same on the process's own streams.
int run(int argc, const char* const* argv, Interrupt& interrupt);

}  // namespace semper::cli
