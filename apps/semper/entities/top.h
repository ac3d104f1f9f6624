// Command `top`: the entities with the most to do, a picture at a time.
#pragma once

#include <cstdint>
#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct TopArguments {
  std::string type;  // empty: all types
  std::string by = "waiting";
  std::uint64_t limit = 20;  // entities shown
  std::uint64_t count = 0;   // pictures; 0: until interrupted
  std::string interval = "2s";
};
Async<void> top(Invocation& invocation, TopArguments arguments);

}  // namespace semper::cli
