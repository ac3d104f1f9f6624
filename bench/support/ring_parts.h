// The parts of bench_ring, and the process it starts of itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "arguments.h"
#include "report.h"

namespace semper::bench::ring_parts {

struct Settings : CommonSettings {
  Settings() : CommonSettings(5) {}

  // Of a process started by the benchmark itself.
  std::string file;
  std::size_t count = 0;

  std::size_t scaled(std::size_t full, std::size_t small) const { return smoke ? small : full; }
  std::uint64_t device_bytes() const { return std::uint64_t{smoke ? 8U : 128U} << 20; }
};

// The command line; see arguments.h.
Arguments parse(int argc, char** argv, Settings& settings);

struct Part {
  std::string name;
  std::function<void(const Settings&, Report&)> run;
};
const std::vector<Part>& parts();

// What `--role` asks for.
int run_role(const Settings& settings);

}  // namespace semper::bench::ring_parts
