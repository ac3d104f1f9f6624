// The parts of bench_durable_server, and the processes it starts of itself.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "arguments.h"
#include "report.h"

namespace semper::bench {

struct Settings : CommonSettings {
  Settings() : CommonSettings(5) {}

  // Of a process started by the benchmark itself.
  std::string store;
  std::string file;

  double seconds() const { return smoke ? 0.05 : 2.0; }
  std::size_t entities() const { return smoke ? 2'000 : 1'000'000; }
};

struct Part {
  std::string name;
  std::function<void(const Settings&, Report&)> run;
};
const std::vector<Part>& parts();

// The command line, of bench_foundationdb too; see arguments.h.
Arguments parse(int argc, char** argv, const std::vector<Part>& known, Settings& settings);

// What `--role` asks for.
int run_role(const Settings& settings);

}  // namespace semper::bench
