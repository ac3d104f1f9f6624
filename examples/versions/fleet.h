// One type of entity as two releases of a program know it, and a fleet in which both run beside
// each other.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "semper/semper.h"

namespace release1 {

struct Stock {
  static constexpr std::string_view kName = "Stock";  // of both releases, whatever the namespace
  struct State {
    std::int64_t available = 0;
  };
  struct Deliver {
    static constexpr std::string_view kName = "Deliver";
    std::int64_t pieces = 0;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Deliver>;

  semper::Result<State> init(const semper::EntityId&) { return State(); }
  semper::Reply<std::int64_t> handle_call(const Deliver& m, State& s, semper::Context&) {
    return s.available += m.pieces;
  }
  void handle_cast(const Deliver& m, State& s, semper::Context&) { s.available += m.pieces; }
};

}  // namespace release1

namespace release2 {

// By warehouse now, with a message to move some from one to the other.
struct Stock {
  static constexpr std::string_view kName = "Stock";
  static constexpr int kStateVersion = 2;
  struct State {
    std::map<std::string, std::int64_t> by_warehouse;
  };
  using Deliver = release1::Stock::Deliver;
  struct Move {
    static constexpr std::string_view kName = "Move";
    std::string from;
    std::string to;
    std::int64_t pieces = 0;
  };
  struct Count {
    static constexpr std::string_view kName = "Count";
    using Reply = std::map<std::string, std::int64_t>;
  };
  using Messages = semper::Messages<Deliver, Move, Count>;

  semper::Result<State> init(const semper::EntityId&) { return State(); }

  // The first release knew one warehouse.
  semper::Result<State> upgrade(int, semper::BytesView old) {
    SEMPER_TRY(const auto before, semper::decode<release1::Stock::State>(old));
    State state;
    state.by_warehouse["main"] = before.available;
    return state;
  }

  semper::Reply<std::int64_t> handle_call(const Deliver& m, State& s, semper::Context&) {
    return s.by_warehouse["main"] += m.pieces;
  }
  void handle_cast(const Deliver& m, State& s, semper::Context&) {
    s.by_warehouse["main"] += m.pieces;
  }
  void handle_cast(const Move& m, State& s, semper::Context&) {
    s.by_warehouse[m.from] -= m.pieces;
    s.by_warehouse[m.to] += m.pieces;
  }
  semper::Reply<Count::Reply> handle_call(const Count&, State& s, semper::Context&) {
    return s.by_warehouse;
  }
};

}  // namespace release2

namespace fleet {

// What is where in the end. `say` is told what happens.
semper::Async<std::map<std::string, std::int64_t>> upgrade_one_by_one(
    std::string url, std::function<void(const std::string&)> say);

}  // namespace fleet
