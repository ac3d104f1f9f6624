// Customer: everything that a customer ever bought, one entry each beside the state.
//
// Shows a Map. The guide to durable servers (docs/guide-servers.md) quotes this file.
#pragma once

#include <cstdint>
#include <string>

#include "semper/semper.h"
#include "semper/server/map.h"

namespace guide {

struct Customer {
  struct State {
    std::uint64_t purchases = 0;
    std::int64_t spent_cents = 0;
  };

  struct Purchase {
    std::string article;
    std::int64_t cents = 0;
  };
  static constexpr semper::Map<std::uint64_t, Purchase> kPurchases{"purchases"};  // by number

  struct Buy {
    std::string article;
    std::int64_t cents = 0;
  };
  struct Return {
    std::uint64_t number = 0;
    using Reply = std::int64_t;  // the cents to be paid back
  };
  using Messages = semper::Messages<Buy, Return>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  void handle_cast(const Buy& m, State& state, semper::Context& context) {
    kPurchases.set(context, ++state.purchases, {m.article, m.cents});
    state.spent_cents += m.cents;
  }

  semper::Async<std::int64_t> handle_call(const Return& m, State& state, semper::Context& context) {
    SEMPER_CO_TRY(const auto purchase, co_await kPurchases.get(context, m.number));
    if (!purchase) co_return semper::fail(semper::ErrorKind::not_found, "no such purchase");
    kPurchases.erase(context, m.number);
    state.spent_cents -= purchase->cents;
    co_return purchase->cents;
  }
};

}  // namespace guide
