// Order: one customer's order, as a durable server.
//
// Shows a lock for work outside the transaction, a message to another entity, a callback that
// waits, and an action after the commit. The guide to durable servers (docs/guide-servers.md)
// quotes this file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "stock.h"

namespace guide {

// What charges a card. Calls with the same order are one charge: the provider's own idempotency
// key.
class PaymentProvider {
 public:
  virtual ~PaymentProvider() = default;
  // Returns the number of the receipt. May block.
  virtual semper::Result<std::string> charge(const std::string& order, std::int64_t cents,
                                             std::uint64_t fencing_token) = 0;
};

struct Order {
  static constexpr std::string_view kName = "Order";

  struct State {
    std::string article;
    std::int64_t amount = 0;
    std::string receipt;  // empty: not paid
  };

  struct Place {
    std::string article;
    std::int64_t amount = 0;
  };
  struct Pay {
    std::int64_t cents = 0;
    using Reply = std::string;  // the receipt
  };
  struct Cancel {
    using Reply = std::int64_t;  // how much goes back
  };
  struct Missing {
    using Reply = std::int64_t;  // how much the stock lacks for it
  };
  struct Reserve {
    using Reply = std::int64_t;  // what is left of the article
  };
  using Messages = semper::Messages<Place, Pay, Cancel, Missing, Reserve>;

  Order(std::shared_ptr<PaymentProvider> provider, std::function<void(const std::string&)> notify)
      : provider_(std::move(provider)), notify_(std::move(notify)) {}

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  void handle_cast(const Place& m, State& state, semper::Context&) {
    state.article = m.article;
    state.amount = m.amount;
  }

  semper::Reply<std::string> handle_call(const Pay&, State& state, semper::Context&) {
    if (!state.receipt.empty()) return state.receipt;
    return semper::lock();
  }

  semper::Reply<std::string> handle_locked(const Pay& m, State& state,
                                           semper::LockedContext& context) {
    auto receipt = provider_->charge(context.id().id, m.cents, context.fencing_token());
    if (!receipt) return semper::fail(receipt.error());
    state.receipt = *receipt;
    return state.receipt;
  }

  semper::Async<std::int64_t> handle_call(const Missing&, State& state, semper::Context& context) {
    const auto stock = semper::ref<Stock>(context.tenant(), state.article);
    const auto there = co_await semper::value(context.state_of(stock));
    const std::int64_t available = there ? there->available : 0;
    co_return std::max<std::int64_t>(state.amount - available, 0);
  }

  semper::Async<std::int64_t> handle_call(const Reserve&, State& state, semper::Context& context) {
    const auto stock = semper::ref<Stock>(context.tenant(), state.article);
    const semper::CallOptions once{.key = semper::IdempotencyKey{context.id().id}};
    const Stock::Reserve wanted{state.amount};
    co_return co_await stock.call(wanted, once);
  }

  semper::Reply<std::int64_t> handle_call(const Cancel&, State& state, semper::Context& context) {
    const std::int64_t amount = std::exchange(state.amount, 0);
    if (amount > 0) {
      const Stock::Deliver back{amount};
      context.cast(semper::ref<Stock>(context.tenant(), state.article), back);
    }
    return semper::Reply<std::int64_t>(amount).then(
        [notify = notify_](const State& committed) { notify(committed.article); });
  }

 private:
  std::shared_ptr<PaymentProvider> provider_;
  std::function<void(const std::string&)> notify_;
};

}  // namespace guide
