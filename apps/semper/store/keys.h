// Commands `store get`, `set`, `clear`, `range` and `watch`: keys and values beneath the entities.
#pragma once

#include <cstdint>
#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct KeyArguments {
  std::string key;
  std::string value;
  std::string form = "auto";
};
// Error not_found: nothing is stored there.
Async<void> get(Invocation& invocation, KeyArguments arguments);
// These two ask first where the key belongs to entities, or to Semper itself.
Async<void> set(Invocation& invocation, KeyArguments arguments);
Async<void> clear(Invocation& invocation, KeyArguments arguments);

struct RangeArguments {
  std::string prefix;       // empty: all keys
  std::string from;         // empty: the first one
  std::string to;           // not included; empty: behind the last one
  std::size_t limit = 100;  // 0: all
  bool reverse = false;
  std::string form = "auto";
};
Async<void> range(Invocation& invocation, RangeArguments arguments);

struct WatchArguments {
  std::string key;
  std::uint64_t count = 0;  // values; 0: until interrupted
  std::string form = "auto";
};
// Prints the value, and again whenever it has changed.
Async<void> watch(Invocation& invocation, WatchArguments arguments);

}  // namespace semper::cli
