// Visits: counts who came, and when the last one did.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "semper/server/behaviour.h"

namespace threads {

struct Visits {
  static constexpr std::string_view kName = "Visits";
  struct State {
    std::uint64_t count = 0;
    std::string last = {};
  };
  struct Come {
    std::string who = {};
    using Reply = std::uint64_t;  // so many have come
  };
  using Messages = semper::Messages<Come>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  semper::Reply<std::uint64_t> handle_call(const Come& m, State& state, semper::Context&) {
    state.last = m.who;
    return ++state.count;
  }
};

}  // namespace threads
