// The command line: its grammar, and from words to an exit code. CLI11, which is slow to compile, is
// used by the cli*.cc files only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "invocation.h"

namespace CLI {
class App;
}

namespace semper::cli {

// Runs one command. Errors go to streams.err as "semper: what; what to do next".
int run(std::vector<std::string> arguments, Streams streams, Interrupt& interrupt);
// The same on the process's own streams.
int run(int argc, const char* const* argv, Interrupt& interrupt);

// What the words have chosen.
struct Command {
  std::function<Async<void>(Invocation&)> run;
  // requests_stop: it looks at Invocation::interrupt() and ends in order.
  OnSignal on_signal = OnSignal::ends_process;
};

// Add the commands of one group; when one of them is parsed it becomes `chosen`.
void add_entity_commands(CLI::App& program, Command& chosen);
void add_store_commands(CLI::App& program, Command& chosen);
void add_ring_commands(CLI::App& program, Command& chosen);
void add_journal_commands(CLI::App& program, Command& chosen);

// What the words, of which the last is being typed, ask of the store.
struct CompletionQuery;
CompletionQuery completion_query(const CLI::App& program, const std::vector<std::string>& words);

// The text of a completion script for this grammar: bash, zsh or fish.
std::string completion_script(const CLI::App& program, const std::string& shell);

}  // namespace semper::cli
