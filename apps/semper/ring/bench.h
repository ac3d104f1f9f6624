// Command `ring bench`: a short load on a ring in a file of its own.
#pragma once

#include <cstdint>
#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct RingBenchArguments {
  std::string duration = "2s";
  std::string size = "64MiB";
  std::uint64_t callers = 64;
  std::string directory;
};
Async<void> ring_bench(Invocation& invocation, RingBenchArguments arguments);

}  // namespace semper::cli
