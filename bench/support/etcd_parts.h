// The parts of bench_etcd, and the processes it starts of itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "arguments.h"
#include "report.h"

namespace semper::bench::etcd_parts {

struct Settings : CommonSettings {
  Settings() : CommonSettings(5) {}

  // Of a process started by the benchmark itself.
  std::string store;
  std::string entity;

  double seconds() const { return smoke ? 0.1 : 2.0; }
};

// The command line; see arguments.h.
Arguments parse(int argc, char** argv, Settings& settings);

// Starts an etcd of one node and measures beside it; prints why where it is not installed.
void run(const Settings& settings, Report& report);

// What `--role` asks for.
int run_role(const Settings& settings);

}  // namespace semper::bench::etcd_parts
