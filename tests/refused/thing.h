// A behaviour for what is refused, and what is accepted.
#pragma once

#include <cstdint>
#include <string>

#include "semper/server/host.h"
#include "semper/server/ref.h"

struct Thing {
  struct State {
    int count = 0;
  };
  struct Add {
    int by = 1;
    using Reply = int;
  };
  using Messages = semper::Messages<Add>;
  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  semper::Reply<int> handle_call(const Add& m, State& s, semper::Context&) {
    return s.count += m.by;
  }
};

struct Stranger {
  using Reply = int;
};
