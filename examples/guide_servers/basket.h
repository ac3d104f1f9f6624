// Basket: what a customer has put aside, as a durable server that expires.
//
// Shows an entity that is removed when nobody has sent it a message for two hours, and what it does
// last. The guide to durable servers (docs/guide-servers.md) quotes this file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "stock.h"

namespace guide {

struct Basket {
  static constexpr std::string_view kName = "Basket";
  static constexpr auto kExpireAfter = std::chrono::hours(2);

  struct State {
    std::string article;
    std::int64_t amount = 0;
  };

  struct Put {
    std::string article;
    std::int64_t amount = 0;
  };
  using Messages = semper::Messages<Put>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  void handle_cast(const Put& m, State& state, semper::Context&) {
    state.article = m.article;
    state.amount = m.amount;
  }

  void handle_expiry(State& state, semper::Context& context) {
    if (state.amount == 0) return;
    const Stock::Deliver back{state.amount};
    context.cast(semper::ref<Stock>(context.tenant(), state.article), back);
  }
};

}  // namespace guide
