// The lists of mutants: lists/*.txt, one file for a room.
//
//   mutant  NAME                   as SEMPER_MUTANT("NAME") in the source
//   bug     one sentence           what would be wrong
//   must    survive                for canaries only: nothing is wrong, and nobody may find it
//   attack  SECONDS PROGRAM ARGUMENTS...
//
// An attack must find the mutant within its seconds. CI goes from one to the next until one has; a
// campaign wants it of each. PROGRAM is a test program or semper-sim, behind settings NAME=VALUE of
// its environment, if any. Lines that begin with # are remarks.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace semper::mutants {

struct Attack {
  std::chrono::seconds within{};
  std::vector<std::string> environment;
  std::string program;
  std::vector<std::string> arguments;

  std::string to_string() const;  // as one would type it
};

struct Mutant {
  std::string name;
  std::string bug;
  bool survives = false;
  std::vector<Attack> attacks;
};

// Throws std::runtime_error, which names the line, where the text is no list.
std::vector<Mutant> parse_list(const std::string& text, const std::string& path);
// All lists of a folder.
std::vector<Mutant> read_lists(const std::string& folder);

}  // namespace semper::mutants
