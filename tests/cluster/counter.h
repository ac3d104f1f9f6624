// Counter: the register whose history is checked (linearizable.h). Every add is by one, so what it
// returns is its place in the order of all adds.
#pragma once

#include <cstdint>
#include <string_view>

#include "semper/semper.h"

namespace semper::testing {

struct ClusterCounter {
  static constexpr std::string_view kName = "cluster.counter";
  using State = std::int64_t;

  struct Add {
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Read>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& state, Context&) { return ++state; }
  Reply<std::int64_t> handle_call(const Read&, State& state, Context&) { return state; }
};

}  // namespace semper::testing
