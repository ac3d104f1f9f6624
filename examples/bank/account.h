// Account: a durable server that holds money, and sends it to others.
//
// A transfer takes from one account and gives to another, which may be on another host. Nothing spans
// the two: the sender's transaction lowers its balance and queues the message for the receiver, both or
// neither; the receiver processes that message exactly once. In between the money is under way, and
// nowhere else. So no balance is ever negative, and when no message waits all balances together are
// what was paid in.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "semper/semper.h"

namespace bank {

struct Account {
  static constexpr std::string_view kName = "Account";

  struct State {
    std::int64_t balance = 0;
    bool opened = false;
    std::uint64_t sent = 0;      // transfers that left
    std::uint64_t received = 0;  // and that came
    // The last number of each sender's transfers, to show that they come in order and once.
    std::map<std::string, std::uint64_t> last_from;
    std::map<std::string, std::uint64_t> last_to;
    std::uint64_t disorder = 0;  // transfers that came twice, or before an earlier one
  };

  // Pays in when the account is new; does nothing later. Returns the balance.
  struct Open {
    std::int64_t amount = 0;
    using Reply = std::int64_t;
  };
  struct Balance {
    using Reply = std::int64_t;
  };
  struct Receipt {
    bool done = false;  // false: there is not that much, and nothing happened
    std::int64_t balance = 0;
  };
  struct Transfer {
    std::string to;
    std::int64_t amount = 0;
    using Reply = Receipt;
  };
  // From another account, by its transaction.
  struct Receive {
    std::string from;
    std::uint64_t number = 0;  // counts the transfers of this pair
    std::int64_t amount = 0;
  };
  using Messages = semper::Messages<Open, Balance, Transfer, Receive>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Reply<std::int64_t> handle_call(const Open& open, State& state, semper::Context&) {
    if (!state.opened) state.balance += open.amount;
    state.opened = true;
    return state.balance;
  }

  semper::Reply<std::int64_t> handle_call(const Balance&, State& state, semper::Context&) {
    return state.balance;
  }

  semper::Reply<Receipt> handle_call(const Transfer& transfer, State& state,
                                     semper::Context& context) {
    const bool possible =
        transfer.amount > 0 && transfer.amount <= state.balance && transfer.to != context.id().id;
    if (!possible) return Receipt{false, state.balance};
    state.balance -= transfer.amount;
    ++state.sent;
    const Receive onward{context.id().id, ++state.last_to[transfer.to], transfer.amount};
    context.cast(semper::ref<Account>(context.tenant(), transfer.to), onward);
    return Receipt{true, state.balance};
  }

  void handle_cast(const Receive& receive, State& state, semper::Context&) {
    std::uint64_t& last = state.last_from[receive.from];
    if (receive.number != last + 1) ++state.disorder;
    last = receive.number;
    state.balance += receive.amount;
    ++state.received;
  }
};

}  // namespace bank
