// Command `bench`: a short load that measures itself, for a first idea of a disk and a machine.
// `make bench` has the figures that are compared with others.
//
// It writes into a store of its own, which it removes, whatever SEMPER_STORE says. Only where
// --store names one on the command line it loads that, in keys of its own, which it removes.
// Interrupted by any signal it tidies up, too, and ends with an error: what a script measures was
// measured whole.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct BenchArguments {
  std::string duration = "2s";  // of each of the three measurements
  std::size_t callers = 100;
  std::string directory;  // for a store of its own; empty: TMPDIR, else /var/tmp
};
Async<void> bench(Invocation& invocation, BenchArguments arguments);

}  // namespace semper::cli
