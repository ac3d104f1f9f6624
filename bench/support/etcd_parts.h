// The parts of bench_etcd, and the processes it starts of itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "report.h"

namespace semper::bench::etcd_parts {

struct Settings {
  std::string json;
  std::string only;
  bool smoke = false;
  int runs = 5;
  // Of a process started by the benchmark itself.
  std::string role;
  std::string store;
  std::string entity;

  double seconds() const { return smoke ? 0.1 : 2.0; }
  int rounds() const { return smoke ? 1 : runs; }
};

// False, with the reason printed, where the arguments are wrong.
bool parse(int argc, char** argv, Settings& settings);

// Starts an etcd of one node and measures beside it; prints why where it is not installed.
void run(const Settings& settings, Report& report);

// What `--role` asks for.
int run_role(const Settings& settings);

}  // namespace semper::bench::etcd_parts
