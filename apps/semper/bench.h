// Command `bench`: a short load that measures itself, for a first idea of a disk and a machine.
// `make bench` has the figures that are compared with others.
#pragma once

#include <string>

#include "invocation.h"

namespace semper::cli {

struct BenchArguments {
  std::string duration = "2s";  // of each of the three measurements
  std::size_t callers = 100;
  std::string directory;  // for a store of its own; empty: TMPDIR, else /var/tmp
};
Async<void> bench(Invocation& invocation, BenchArguments arguments);

}  // namespace semper::cli
