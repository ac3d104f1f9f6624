// The parts of bench_durable_server, and the processes it starts of itself.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "report.h"

namespace semper::bench {

struct Settings {
  std::string json;
  std::string only;
  bool smoke = false;
  int runs = 5;
  // Of a process started by the benchmark itself.
  std::string role;
  std::string store;
  std::string file;

  double seconds() const { return smoke ? 0.05 : 2.0; }
  int rounds() const { return smoke ? 1 : runs; }
  std::size_t entities() const { return smoke ? 2'000 : 1'000'000; }
};

// False, with the reason printed, where the arguments are wrong.
bool parse(int argc, char** argv, Settings& settings);

struct Part {
  std::string name;
  std::function<void(const Settings&, Report&)> run;
};
const std::vector<Part>& parts();

// What `--role` asks for.
int run_role(const Settings& settings);

}  // namespace semper::bench
