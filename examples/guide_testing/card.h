// Card, Invoice: a gift card that pays invoices, as durable servers.
//
// What the guide to testing (docs/guide-testing.md) tests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "semper/semper.h"

namespace guide {

struct Invoice {
  static constexpr std::string_view kName = "Invoice";

  struct State {
    std::int64_t paid = 0;
  };
  struct Paid {
    std::string card;
    std::int64_t cents = 0;
  };
  using Messages = semper::Messages<Paid>;

  // `mail`: sends a receipt for this invoice.
  explicit Invoice(std::function<void(const std::string& invoice)> mail) : mail_(std::move(mail)) {}

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Outcome handle_cast(const Paid& m, State& state, semper::Context& context) {
    state.paid += m.cents;
    return semper::Outcome().then(state,
                                  [mail = mail_, id = context.id().id](const State&) { mail(id); });
  }

 private:
  std::function<void(const std::string&)> mail_;
};

struct Card {
  static constexpr std::string_view kName = "Card";

  struct State {
    std::int64_t loaded = 0;  // in all
    std::int64_t cents = 0;   // that are left
  };
  struct Load {
    std::int64_t cents = 0;
    using Reply = std::int64_t;  // what is on it now
  };
  struct Pay {
    std::string invoice;
    std::int64_t cents = 0;
    using Reply = std::int64_t;  // what is left
  };
  using Messages = semper::Messages<Load, Pay>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Reply<std::int64_t> handle_call(const Load& m, State& state, semper::Context&) {
    state.loaded += m.cents;
    return state.cents += m.cents;
  }

  semper::Reply<std::int64_t> handle_call(const Pay& m, State& state, semper::Context& context) {
    if (m.cents <= 0 || m.cents > state.cents) {
      return semper::fail(semper::ErrorKind::exhausted,
                          "only " + std::to_string(state.cents) + " cents are left");
    }
    state.cents -= m.cents;
    const Invoice::Paid paid{context.id().id, m.cents};
    context.cast(semper::ref<Invoice>(context.tenant(), m.invoice), paid);
    return state.cents;
  }
  void handle_cast(const Pay& m, State& state, semper::Context& context) {
    static_cast<void>(handle_call(m, state, context));
  }
};

}  // namespace guide
