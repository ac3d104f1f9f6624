// The parts of bench_rpc, and the processes it starts of itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "arguments.h"
#include "report.h"

namespace semper::bench::rpc_parts {

struct Settings : CommonSettings {
  Settings() : CommonSettings(7) {}

  // Of a process started by the benchmark itself.
  int port = 0;
  int count = 0;

  int scaled(int full, int small) const { return smoke ? small : full; }
};

// The command line; see arguments.h.
Arguments parse(int argc, char** argv, Settings& settings);

struct Part {
  std::string name;
  std::function<void(const Settings&, Report&)> run;
};
const std::vector<Part>& parts();

// What `--role idle-bare` and `--role idle-durable` ask for.
int run_role(const Settings& settings);

}  // namespace semper::bench::rpc_parts
