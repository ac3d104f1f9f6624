// Shipping: a durable server that gives up on some messages, and says so.
//
// Shows handle_dead_letter with bounds of the type's own, what runs after the commit, and a cast
// within a transaction of the program's own. The guide to durable servers (docs/guide-servers.md)
// quotes this file.
#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/semper.h"

namespace guide {

struct Shipping {
  static constexpr std::string_view kName = "Shipping";

  static constexpr int kMessageAttempts = 4;    // 0: never set aside, tried for ever
  static constexpr int kDeadLettersKept = 100;  // past it the oldest go
  static constexpr auto kDeadLettersKeptFor = std::chrono::hours(24 * 30);

  struct State {
    std::vector<std::string> prepared;
    std::int64_t failed = 0;
    std::string last_failure;
  };
  struct Prepare {
    std::string order;
  };
  using Messages = semper::Messages<Prepare>;

  explicit Shipping(std::function<void(const std::string&)> print) : print_(std::move(print)) {}

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  void handle_cast(const Prepare& m, State& state, semper::Context& context) {
    if (m.order.empty()) throw std::runtime_error("an order without a number");
    state.prepared.push_back(m.order);
    context.after_commit([print = print_, order = m.order] { print(order); });
  }

  void handle_dead_letter(const semper::DeadLetterInfo& letter, State& state, semper::Context&) {
    state.failed += 1;
    state.last_failure = letter.error.message();
  }

 private:
  std::function<void(const std::string&)> print_;
};

}  // namespace guide
