// The parts of bench_rpc, and the processes it starts of itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "report.h"

namespace semper::bench::rpc_parts {

struct Settings {
  std::string json;
  std::string only;
  bool smoke = false;
  int runs = 7;
  // Of a process started by the benchmark itself.
  std::string role;
  int port = 0;
  int count = 0;

  int rounds() const { return smoke ? 1 : runs; }
  int scaled(int full, int small) const { return smoke ? small : full; }
};

// False, with the reason printed, where the arguments are wrong.
bool parse(int argc, char** argv, Settings& settings);

struct Part {
  std::string name;
  std::function<void(const Settings&, Report&)> run;
};
const std::vector<Part>& parts();

// What `--role idle-bare` and `--role idle-durable` ask for.
int run_role(const Settings& settings);

}  // namespace semper::bench::rpc_parts
