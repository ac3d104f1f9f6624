// The command line that every benchmark program takes, so that `make bench ARGS=...` means the same
// to each of them:
//
//   --json PATH   write the rows there, as one JSON array
//   --smoke       seconds instead of minutes, figures without meaning
//   --runs N      measure each figure and its reference N times
//   --only PART   one part of the program
//
// A program that starts itself in other roles adds options of its own, which the usage does not
// name.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace semper::bench {

struct CommonSettings {
  explicit CommonSettings(int default_runs) : runs(default_runs) {}

  std::string json;
  std::string only;
  bool smoke = false;
  int runs;
  std::string role = {};  // of a process started by the benchmark itself

  int rounds() const { return smoke ? 1 : runs; }
  bool wants(const std::string& part) const { return only.empty() || only == part; }
};

// What becomes of an option's value.
using MoreOptions = std::map<std::string, std::string*>;

enum class Arguments {
  good,
  wrong,     // said why; exit with 2
  not_mine,  // --only names a part of another program; exit with kNoSuchPart
};
inline constexpr int kNoSuchPart = 3;

// `parts`: what --only may name.
Arguments parse_arguments(int argc, char** argv, const std::vector<std::string>& parts,
                          CommonSettings& settings, const MoreOptions& more = {});

// The names of a list of parts, each with a `name`.
template <class Parts>
std::vector<std::string> names_of(const Parts& parts) {
  std::vector<std::string> names;
  for (const auto& part : parts) names.push_back(part.name);
  return names;
}

// What main() returns where the arguments are not good.
inline int exit_code(Arguments arguments) {
  return arguments == Arguments::not_mine ? kNoSuchPart : 2;
}

}  // namespace semper::bench
