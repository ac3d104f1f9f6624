// Bank: what is done with accounts: opened, moved between, audited.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "account.h"
#include "semper/base/stop.h"
#include "semper/semper.h"

namespace bank {

// Accounts are named "000", "001", ...
inline constexpr std::size_t kAccountsMaximum = 1000;
std::string account_name(std::size_t number);

// Pays `amount` into each of the first `accounts` that is new. A host must serve them.
semper::Async<void> open_accounts(semper::Store store, std::size_t accounts, std::int64_t amount);

// Each of the first `accounts` pays 1 to the next, `times` times, one period after the other. Where
// it does so already, the order goes on as it is.
semper::Async<void> order_payments(semper::Store store, std::size_t accounts,
                                   std::chrono::milliseconds period, std::uint64_t times);

// And, by the calendar, 1 to the one after that, at each full second, `times` times.
semper::Async<void> order_payments_by_calendar(semper::Store store, std::size_t accounts,
                                               std::uint64_t times);

// Moves the amount in one transaction, without a message: both accounts change, or neither does.
// Takes its turn behind what waits for them. Returns whether there was that much. Error
// outcome_unknown: it may have happened; any other: it has not.
semper::Async<bool> transfer_at_once(semper::Store store, std::string from, std::string to,
                                     std::int64_t amount);

// What one clerk did.
struct Work {
  std::uint64_t done = 0;
  std::uint64_t refused = 0;   // for insufficient funds
  std::uint64_t repeated = 0;  // requests sent again, for want of an answer
  std::uint64_t unknown =
      0;  // the clerk went home without an answer: may have happened, and may still
  std::uint64_t failed = 0;  // an error that says that nothing happened, nor will
  std::string last_error;    // of the last three kinds

  void add(const Work& other);
};

// Transfers between random accounts, one after the other, until `stop` is requested. Each request
// has an idempotency key of its own: where no answer comes, the same request is sent again, and
// what it asks for happens once. Every eighth transfer or so is one at once, which has no key.
semper::Task<Work> transfer_at_random(semper::Store store, std::size_t accounts,
                                      semper::Random& random, semper::StopToken stop);

// All accounts, added up.
struct Audit {
  std::uint64_t accounts = 0;
  std::int64_t balances = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t ordered = 0;       // of those that left, by standing orders
  std::uint64_t waiting = 0;       // messages in queues: while there are any, money is under way
  std::uint64_t orders = 0;        // standing orders with something to pay: the same
  std::uint64_t lines = 0;         // of all statements; by audit() alone
  std::int64_t by_statement = 0;   // what they come to; the same
  std::vector<std::string> wrong;  // each a sentence
};

// Reads every account, each as of a moment of its own: only what is found when nothing moves
// counts.
semper::Async<Audit> add_up(semper::Store store);

// The last lines of an account's statement, the latest first.
semper::Async<std::vector<std::string>> last_lines(semper::Store store, std::string account,
                                                   std::size_t most);

// Waits until no message is under way and each standing order is paid, then adds up, and compares
// with what was paid in, and with every line of every statement. Error: timeout (messages still
// wait after `limit`).
semper::Async<Audit> audit(semper::Store store, std::int64_t paid_in, semper::Duration limit);

}  // namespace bank
