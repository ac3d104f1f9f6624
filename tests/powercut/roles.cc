#include "roles.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <map>

namespace semper::testing {
namespace {

bool has_said_wrong = false;

}  // namespace

std::vector<std::string> to_arguments(const RoleOptions& options) {
  return {"--role=" + options.role,           options.disk,   options.notes,
          std::to_string(options.seed),       options.format, options.flushes ? "flushes" : "never",
          options.faults ? "faults" : "none", options.device};
}

void say_wrong(const std::string& sentence) {
  has_said_wrong = true;
  std::cout << "wrong: " << sentence << std::endl;
}

int end_of_judgement(std::size_t judged) {
  std::cout << "judged " << judged << std::endl;
  return has_said_wrong ? 1 : 0;
}

int report_error(const RoleOptions& options, const std::string& words) {
  std::cerr << options.role << " (process " << ::getpid()
            << (options.faults ? ", flushes fail" : "") << "): " << words << std::endl;
  return 2;
}

std::optional<int> run_powercut_role(const std::vector<std::string>& arguments) {
  using Run = int (*)(const RoleOptions&);
  static const std::map<std::string, Run> roles = {
      {"ring-producer", run_ring_producer}, {"ring-consumer", run_ring_consumer},
      {"ring-judge", run_ring_judge},       {"journal", run_journal},
      {"journal-judge", run_journal_judge}, {"drain", run_drain},
      {"store-judge", run_store_judge},     {"drain-judge", run_store_judge},
      {"plain-sqlite", run_plain_sqlite},   {"plain-sqlite-judge", run_plain_sqlite_judge},
  };
  constexpr std::string_view kPrefix = "--role=";
  if (arguments.empty() || !arguments[0].starts_with(kPrefix)) return std::nullopt;
  const auto found = roles.find(arguments[0].substr(kPrefix.size()));
  if (found == roles.end()) return std::nullopt;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  RoleOptions options;
  options.role = found->first;
  options.disk = arguments.at(1);
  options.notes = arguments.at(2);
  options.seed = std::stoull(arguments.at(3));
  options.format = arguments.at(4);
  options.flushes = arguments.at(5) == "flushes";
  options.faults = arguments.at(6) == "faults";
  options.device = arguments.at(7);
  return found->second(options);
}

}  // namespace semper::testing
