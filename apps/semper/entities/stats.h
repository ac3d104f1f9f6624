// Command `stats`: what goes on in a store, or with one entity, a line at a time.
#pragma once

#include <cstdint>
#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct StatsArguments {
  std::string entity;       // empty: the store as a whole
  std::uint64_t count = 0;  // lines; 0: until interrupted
  std::string interval = "1s";
};
Async<void> stats(Invocation& invocation, StatsArguments arguments);

}  // namespace semper::cli
