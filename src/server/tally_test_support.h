// The least of behaviours: a sum.
#pragma once

#include "semper/server/behaviour.h"

namespace semper::testing {

struct Tally {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Read>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) { return s += m.by; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
  void handle_cast(const Add& m, State& s, Context&) { s += m.by; }
};

}  // namespace semper::testing
