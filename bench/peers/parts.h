// The parts of bench_peers, and the processes it starts of itself.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "race.h"
#include "support/arguments.h"
#include "support/report.h"

namespace semper::bench::peers {

struct Settings : CommonSettings {
  Settings() : CommonSettings(5) {}

  std::string systems;  // ids, with commas between; empty: all

  // Of a process started by the benchmark itself.
  std::string system, address, board, number, entities, flight, seconds, rate;

  double run_seconds() const { return smoke ? 0.05 : 2.0; }
  // Curves have many points: fewer runs of each.
  int curve_rounds() const { return smoke ? 1 : (runs + 1) / 2; }
};

struct Part {
  std::string name;
  std::function<void(const Settings&, Field&, Report&)> run;
};
const std::vector<Part>& parts();

Arguments parse(int argc, char** argv, Settings& settings);
// What --systems names.
std::vector<std::string> chosen(const Settings& settings);

// What `--role` asks for.
int run_role(const Settings& settings);

}  // namespace semper::bench::peers
