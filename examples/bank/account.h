// Account: a durable server that holds money, and sends it to others.
//
// A transfer takes from one account and gives to another, which may be on another host. Nothing
// spans the two: the sender's transaction lowers its balance and queues the message for the
// receiver, both or neither; the receiver processes that message exactly once. In between the money
// is under way, and nowhere else. So no balance is ever negative, and when no message waits all
// balances together are what was paid in. Or both accounts change in one transaction, without a
// message (transfer_at_once in bank.h).
//
// A standing order is a durable timer, with a period or by the calendar: each of its ticks is one
// transfer, whatever dies in between.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "semper/semper.h"
#include "semper/server/map.h"

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
    std::uint64_t paid = 0;      // ticks of standing orders that became a transfer
    std::uint64_t bounced = 0;   // and those for which there was not that much
    std::uint64_t lines = 0;     // of the statement
  };

  // What was paid, line by line, from 1 on: a message writes the line that it adds, and reads none
  // of the million that are there.
  struct Line {
    std::int64_t amount = 0;  // negative: it left
    std::string with;         // the other account; empty: paid in
    std::int64_t balance = 0;
  };
  static constexpr semper::Map<std::uint64_t, Line> kStatement{"statement"};

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
  // The same amount again and again: `times` times, one `period_ms` after the other, the first
  // after one period. Under the same name another order replaces it; one with 0 times ends it. What
  // is due while no host runs is paid later, each of them.
  struct StandingOrder {
    std::string name;
    std::string to;
    std::int64_t amount = 0;
    std::int64_t period_ms = 0;
    std::uint64_t times = 0;
    using Reply = bool;  // false: nobody would get anything, or the period is none
  };
  // The same by the calendar: "0 9 1 * *" in "Europe/Berlin" pays on the first of each month, at
  // nine o'clock there.
  struct CalendarOrder {
    std::string name;
    std::string to;
    std::int64_t amount = 0;
    std::string schedule;
    std::string zone;
    std::uint64_t times = 0;
    using Reply = bool;  // false: nobody would get anything, or the schedule is none
  };
  // A tick of one.
  struct Pay {
    std::string to;
    std::int64_t amount = 0;
  };
  // From another account, by its transaction.
  struct Receive {
    std::string from;
    std::uint64_t number = 0;  // counts the transfers of this pair
    std::int64_t amount = 0;
  };
  // For its statement, a line that is in the account's books already: transfer_at_once cannot write
  // there.
  struct Enter {
    std::uint64_t number = 0;
    Line line;
  };
  using Messages =
      semper::Messages<Open, Balance, Transfer, StandingOrder, CalendarOrder, Pay, Receive, Enter>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Reply<std::int64_t> handle_call(const Open& open, State& state,
                                          semper::Context& context) {
    if (!state.opened) book(open.amount, "", state, context);
    state.opened = true;
    return state.balance;
  }

  semper::Reply<std::int64_t> handle_call(const Balance&, State& state, semper::Context&) {
    return state.balance;
  }

  semper::Reply<Receipt> handle_call(const Transfer& transfer, State& state,
                                     semper::Context& context) {
    const bool done = send(transfer.to, transfer.amount, state, context);
    return Receipt{done, state.balance};
  }

  semper::Reply<bool> handle_call(const StandingOrder& order, State&, semper::Context& context) {
    if (order.times == 0) {
      context.cancel_timer(order.name);
      return true;
    }
    if (order.amount <= 0 || order.period_ms <= 0 || order.to == context.id().id) return false;
    semper::EveryOptions every;
    every.period = std::chrono::milliseconds(order.period_ms);
    every.max_count = order.times;
    every.missed = semper::EveryOptions::Missed::all;
    const Pay pay{order.to, order.amount};
    context.send_every(order.name, every, pay);
    return true;
  }

  semper::Reply<bool> handle_call(const CalendarOrder& order, State&, semper::Context& context) {
    if (order.amount <= 0 || order.times == 0 || order.to == context.id().id) return false;
    semper::CronOptions cron;
    cron.schedule = order.schedule;
    cron.zone = order.zone;
    cron.max_count = order.times;
    cron.missed = semper::EveryOptions::Missed::all;
    if (!semper::next_cron_time(cron, context.now())) return false;
    const Pay pay{order.to, order.amount};
    context.send_cron(order.name, cron, pay);
    return true;
  }

  void handle_cast(const Pay& pay, State& state, semper::Context& context) {
    ++(send(pay.to, pay.amount, state, context) ? state.paid : state.bounced);
  }

  void handle_cast(const Receive& receive, State& state, semper::Context& context) {
    std::uint64_t& last = state.last_from[receive.from];
    if (receive.number != last + 1) ++state.disorder;
    last = receive.number;
    book(receive.amount, receive.from, state, context);
    ++state.received;
  }

  void handle_cast(const Enter& enter, State&, semper::Context& context) {
    kStatement.set(context, enter.number, enter.line);
  }

  // Changes the balance. What its statement gets is returned: a line, or two.
  static std::vector<Enter> book(std::int64_t amount, const std::string& with, State& state) {
    std::vector<Enter> lines;
    if (state.lines == 0 && state.balance != 0) {  // of a bank without statements
      lines.push_back({++state.lines, {state.balance, "brought forward", state.balance}});
    }
    state.balance += amount;
    lines.push_back({++state.lines, {amount, with, state.balance}});
    return lines;
  }

 private:
  static void book(std::int64_t amount, const std::string& with, State& state,
                   semper::Context& context) {
    for (const auto& entry : book(amount, with, state)) {
      kStatement.set(context, entry.number, entry.line);
    }
  }

  // False: there is not that much, and nothing happens.
  static bool send(const std::string& to, std::int64_t amount, State& state,
                   semper::Context& context) {
    const bool possible = amount > 0 && amount <= state.balance && to != context.id().id;
    if (!possible) return false;
    book(-amount, to, state, context);
    ++state.sent;
    const Receive onward{context.id().id, ++state.last_to[to], amount};
    context.cast(semper::ref<Account>(context.tenant(), to), onward);
    return true;
  }
};

}  // namespace bank
