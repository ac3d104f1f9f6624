// Hall: the second release of a stock, whose state has another form.
//
// Shows a state version and the way to it. The guide to durable servers (docs/guide-servers.md)
// quotes this file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "semper/semper.h"

namespace guide {

// What the first release stored.
struct HallOfOld {
  static constexpr std::string_view kName = "Hall";
  struct State {
    std::int64_t available = 0;
  };
  struct Deliver {
    std::int64_t amount = 0;
  };
  using Messages = semper::Messages<Deliver>;
  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  void handle_cast(const Deliver& m, State& state, semper::Context&) {
    state.available += m.amount;
  }
};

struct Hall {
  static constexpr std::string_view kName = "Hall";

  // Without it, and for every state stored before there was one: 1.
  static constexpr int kStateVersion = 2;
  struct Version1 {
    std::int64_t available = 0;
  };
  struct State {
    std::map<std::string, std::int64_t> by_hall;
  };

  struct Deliver {
    std::int64_t amount = 0;
    std::string hall = "main";
  };
  struct Count {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Deliver, Count>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  // From: 1 to kStateVersion - 1.
  semper::Result<State> upgrade(int, semper::BytesView old) {
    SEMPER_TRY(const auto v1, semper::decode<Version1>(old));
    State state;
    state.by_hall["main"] = v1.available;
    return state;
  }

  void handle_cast(const Deliver& m, State& state, semper::Context&) {
    state.by_hall[m.hall] += m.amount;
  }
  semper::Reply<std::int64_t> handle_call(const Count&, State& state, semper::Context&) {
    std::int64_t sum = 0;
    for (const auto& [hall, amount] : state.by_hall) sum += amount;
    return sum;
  }
};

}  // namespace guide
