#include "arguments.h"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

namespace semper::bench {
namespace {

constexpr int kRunsMaximum = 1'000;

std::string program_name(const char* path) {
  const std::string_view whole(path);
  return std::string(whole.substr(whole.rfind('/') + 1));
}

Arguments complain(const std::string& program, const std::string& what) {
  std::fprintf(stderr, "%s: %s\nusage: %s [--json PATH] [--smoke] [--only PART] [--runs N]\n",
               program.c_str(), what.c_str(), program.c_str());
  return Arguments::wrong;
}

// 0: it is no number of runs.
int parse_runs(const std::string& text) {
  int runs = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), runs);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && runs >= 1 && runs <= kRunsMaximum ? runs : 0;
}

}  // namespace

Arguments parse_arguments(int argc, char** argv, const std::vector<std::string>& parts,
                          CommonSettings& settings, const MoreOptions& more) {
  const std::string program = program_name(argv[0]);
  std::string runs;
  MoreOptions options = more;
  options.insert({{"--json", &settings.json},
                  {"--only", &settings.only},
                  {"--runs", &runs},
                  {"--role", &settings.role}});
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--smoke") {
      settings.smoke = true;
      continue;
    }
    const auto option = options.find(name);
    if (option == options.end()) return complain(program, "unknown argument " + name);
    if (++i == argc) return complain(program, name + " needs a value");
    *option->second = argv[i];
  }
  // A process that another one has started for its part does not outlive it, however that ends.
  if (!settings.role.empty()) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!runs.empty()) {
    settings.runs = parse_runs(runs);
    if (settings.runs == 0) {
      return complain(program, "--runs is a number from 1 to " + std::to_string(kRunsMaximum));
    }
  }
  if (settings.only.empty() ||
      std::find(parts.begin(), parts.end(), settings.only) != parts.end()) {
    return Arguments::good;
  }
  std::string known;
  for (const auto& part : parts) known += (known.empty() ? "" : ", ") + part;
  std::fprintf(stderr, "%s: no part %s here; it has %s\n", program.c_str(), settings.only.c_str(),
               known.c_str());
  return Arguments::not_mine;
}

}  // namespace semper::bench
