// Completion of commands as they are typed, out of the grammar itself.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace semper::cli {

// What the words, of which the last is being typed, ask of the store.
struct CompletionQuery;
CompletionQuery completion_query(const CLI::App& program, const std::vector<std::string>& words);

// The text of a completion script for this grammar: bash, zsh or fish.
std::string completion_script(const CLI::App& program, const std::string& shell);

}  // namespace semper::cli
