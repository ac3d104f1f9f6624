#include "bank.h"

#include <cstdio>
#include <tuple>
#include <utility>

#include "semper/base/codec.h"
#include "semper/server/atomically.h"
#include "semper/server/list_timers.h"

namespace bank {
namespace {

constexpr std::int64_t kTransferMaximum = 20;
constexpr std::chrono::seconds kPatience(5);
// Longer than it takes until a dead host's messages are another's, for which it waits.
constexpr std::chrono::seconds kAtOncePatience(30);
constexpr std::uint64_t kOneAtOnceOf = 8;
// For so long a request that was answered is remembered. Repeats come within kPatience.
constexpr std::chrono::seconds kRemembered(30);
constexpr std::size_t kLinesPerPage = 1000;
constexpr semper::Duration kBetweenAudits = std::chrono::milliseconds(50);
constexpr semper::Duration kAfterError = std::chrono::milliseconds(100);
// Opening waits for the first host to come.
constexpr semper::CallOptions kOpenPatience{std::chrono::seconds(30)};

// Whether it may have happened all the same.
bool is_open(const semper::Error& error) {
  using semper::ErrorKind;
  return error.kind() == ErrorKind::timeout || error.kind() == ErrorKind::outcome_unknown ||
         error.kind() == ErrorKind::closed;
}

void look_at(const semper::EntityView& view, Audit& audit) {
  const std::string name = view.id.to_string();
  audit.waiting += view.queue_length;
  if (view.dead_letters > 0) audit.wrong.push_back(name + " has set messages aside");
  if (!view.state) return;
  const auto state = semper::decode<Account::State>(*view.state);
  if (!state) {
    audit.wrong.push_back(name + ": " + state.error().message());
    return;
  }
  ++audit.accounts;
  audit.balances += state->balance;
  audit.sent += state->sent;
  audit.received += state->received;
  audit.ordered += state->paid;
  if (state->balance < 0) {
    audit.wrong.push_back(name + " has the balance " + std::to_string(state->balance));
  }
  if (state->disorder > 0) {
    audit.wrong.push_back(name + " got " + std::to_string(state->disorder) +
                          " transfers twice or out of order");
  }
}

// What the lines of all statements come to, when nothing moves.
semper::Async<void> compare_statements(const semper::Store& store, Audit& audit) {
  semper::ListOptions all;
  all.limit = kAccountsMaximum;
  const std::string type(Account::kName);
  SEMPER_CO_TRY(const auto ids, co_await semper::list_entities(store, type, all));
  for (const auto& id : ids) {
    const auto account = semper::ref<Account>(store, id);
    std::int64_t sum = 0;
    std::uint64_t lines = 0;
    for (bool more = true; more;) {
      const std::uint64_t next = lines + 1;
      SEMPER_CO_TRY(const auto page,
                    co_await Account::kStatement.page_from(account, next, kLinesPerPage));
      for (const auto& [number, line] : page.entries) {
        sum += line.amount;
        const bool follows = number == ++lines && line.balance == sum;
        if (!follows) audit.wrong.push_back(id + ": line " + std::to_string(number) + " is wrong");
      }
      more = page.more && audit.wrong.empty();
    }
    audit.lines += lines;
    audit.by_statement += sum;
  }
  co_return semper::Status{};
}

}  // namespace

semper::Async<std::vector<std::string>> last_lines(semper::Store store, std::string account,
                                                   std::size_t most) {
  const auto ref = semper::ref<Account>(store, account);
  SEMPER_CO_TRY(const auto page,
                co_await Account::kStatement.page(ref, most, semper::Order::descending));
  std::vector<std::string> lines;
  for (const auto& [number, line] : page.entries) {
    const std::string with = line.with.empty() ? "paid in" : line.with;
    lines.push_back(std::to_string(number) + "  " + with + "  " + std::to_string(line.amount) +
                    "  " + std::to_string(line.balance));
  }
  co_return lines;
}

std::string account_name(std::size_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "%03zu", number);
  return text;
}

semper::Async<void> open_accounts(semper::Store store, std::size_t accounts, std::int64_t amount) {
  for (std::size_t i = 0; i < accounts; ++i) {
    const Account::Open open{amount};
    const auto account = semper::ref<Account>(store, account_name(i));
    SEMPER_CO_TRY(const auto balance, co_await account.call(open, kOpenPatience));
    static_cast<void>(balance);
  }
  co_return semper::Status{};
}

semper::Async<void> order_payments(semper::Store store, std::size_t accounts,
                                   std::chrono::milliseconds period, std::uint64_t times) {
  for (std::size_t i = 0; i < accounts; ++i) {
    const Account::StandingOrder order{"rent", account_name((i + 1) % accounts), 1, period.count(),
                                       times};
    const auto account = semper::ref<Account>(store, account_name(i));
    SEMPER_CO_TRY(const bool ordered, co_await account.call(order, kOpenPatience));
    if (!ordered) co_return semper::fail(semper::ErrorKind::invalid_argument, "no such order");
  }
  co_return semper::Status{};
}

semper::Async<void> order_payments_by_calendar(semper::Store store, std::size_t accounts,
                                               std::uint64_t times) {
  for (std::size_t i = 0; i < accounts; ++i) {
    const Account::CalendarOrder order{
        "savings", account_name((i + 2) % accounts), 1, "* * * * * *", "Europe/Berlin", times};
    const auto account = semper::ref<Account>(store, account_name(i));
    SEMPER_CO_TRY(const bool ordered, co_await account.call(order, kOpenPatience));
    if (!ordered) co_return semper::fail(semper::ErrorKind::invalid_argument, "no such order");
  }
  co_return semper::Status{};
}

semper::Async<bool> transfer_at_once(semper::Store store, std::string from, std::string to,
                                     std::int64_t amount) {
  if (amount <= 0 || from == to) co_return false;
  const auto payer = semper::ref<Account>(store, from);
  const auto payee = semper::ref<Account>(store, to);
  auto move = [&](semper::Atomic& tx, Account::State& giver,
                  Account::State& taker) -> semper::Async<bool> {
    if (giver.balance < amount) co_return false;
    for (const auto& line : Account::book(-amount, to, giver)) tx.cast(payer, line);
    for (const auto& line : Account::book(amount, from, taker)) tx.cast(payee, line);
    ++giver.sent;
    ++taker.received;
    co_return true;
  };
  semper::AtomicallyOptions patient;
  patient.timeout = kAtOncePatience;
  co_return co_await semper::atomically(store, std::tuple(payer, payee), move, patient);
}

void Work::add(const Work& other) {
  done += other.done;
  refused += other.refused;
  repeated += other.repeated;
  unknown += other.unknown;
  failed += other.failed;
  if (!other.last_error.empty()) last_error = other.last_error;
}

namespace {

semper::Task<void> work_at_once(semper::Store store, std::string from, Account::Transfer transfer,
                                Work& work) {
  const auto done = co_await transfer_at_once(store, std::move(from), transfer.to, transfer.amount);
  if (done) {
    ++(*done ? work.done : work.refused);
    co_return;
  }
  work.last_error = done.error().to_string();
  const bool may_be = done.error().kind() == semper::ErrorKind::outcome_unknown;
  ++(may_be ? work.unknown : work.failed);
  static_cast<void>(co_await semper::sleep_for(*store.env().clock, kAfterError));
}

}  // namespace

semper::Task<Work> transfer_at_random(semper::Store store, std::size_t accounts,
                                      semper::Random& random, semper::StopToken stop) {
  Work work;
  const std::string clerk = std::to_string(random.next());
  for (std::uint64_t number = 1; !stop.stop_requested(); ++number) {
    const std::size_t from = random.below(accounts);
    const std::size_t to = (from + 1 + random.below(accounts - 1)) % accounts;
    const Account::Transfer transfer{account_name(to),
                                     1 + static_cast<std::int64_t>(random.below(kTransferMaximum))};
    if (random.below(kOneAtOnceOf) == 0) {
      co_await work_at_once(store, account_name(from), transfer, work);
      continue;
    }
    const std::string request = clerk + "/" + std::to_string(number);
    const semper::CallOptions options{kPatience, semper::IdempotencyKey{request, kRemembered}};
    const auto account = semper::ref<Account>(store, account_name(from));
    // That a repeat was not accepted says nothing of the request that it repeats.
    bool may_be = false;
    while (true) {
      const auto receipt = co_await account.call(transfer, options);
      if (receipt) {
        ++(receipt->done ? work.done : work.refused);
        break;
      }
      work.last_error = receipt.error().to_string();
      static_cast<void>(co_await semper::sleep_for(*store.env().clock, kAfterError));
      may_be = may_be || is_open(receipt.error());
      if (!may_be) {
        ++work.failed;
        break;
      }
      if (stop.stop_requested()) {
        ++work.unknown;
        break;
      }
      ++work.repeated;
    }
  }
  co_return work;
}

semper::Async<Audit> add_up(semper::Store store) {
  Audit audit;
  semper::ListOptions all;
  all.limit = kAccountsMaximum;
  const std::string type(Account::kName);
  SEMPER_CO_TRY(const auto ids, co_await semper::list_entities(store, type, all));
  for (const auto& id : ids) {
    const semper::EntityId account{type, id};
    SEMPER_CO_TRY(const auto view, co_await semper::inspect(store, account));
    look_at(view, audit);
    SEMPER_CO_TRY(const auto timers, co_await semper::list_timers(store, account));
    audit.orders += timers.size();
  }
  co_return audit;
}

semper::Async<Audit> audit(semper::Store store, std::int64_t paid_in, semper::Duration limit) {
  semper::Clock& clock = *store.env().clock;
  const semper::MonotonicTime end = clock.after(limit);
  while (true) {
    SEMPER_CO_TRY(Audit found, co_await add_up(store));
    // Queues may be empty one after the other while money moves on: what has left must have come.
    if (found.waiting == 0 && found.orders == 0 && found.sent == found.received) {
      if (found.balances != paid_in) {
        found.wrong.push_back("the balances are " + std::to_string(found.balances) + ", and " +
                              std::to_string(paid_in) + " were paid in");
      }
      SEMPER_CO_TRY_STATUS(co_await compare_statements(store, found));
      if (found.by_statement != found.balances) {
        found.wrong.push_back("the statements come to " + std::to_string(found.by_statement));
      }
      co_return found;
    }
    if (clock.now() > end) {
      co_return semper::fail(
          semper::ErrorKind::timeout,
          std::to_string(found.waiting) + " messages and " + std::to_string(found.orders) +
              " standing orders wait, and " + std::to_string(found.received) + " of " +
              std::to_string(found.sent) + " transfers have come; is a host running?");
    }
    SEMPER_CO_TRY_STATUS(co_await semper::sleep_for(clock, kBetweenAudits));
  }
}

}  // namespace bank
