// semper-bank: money moves between accounts on any number of hosts, and none is lost or made.
//
//   semper-bank demo  [STORE_URL]    everything in one process: ten accounts, eight clerks, two seconds
//   semper-bank serve [STORE_URL]    a host; as many as you like, on as many machines as the store allows
//   semper-bank work  [STORE_URL]    eight clerks, who transfer until Ctrl-C
//   semper-bank audit [STORE_URL]    waits until no money is under way, and adds up
//   semper-bank statement [STORE_URL]   the last lines of account 000
//
// Start two hosts and some clerks, kill any of them with kill -9, start it again, stop the clerks,
// and audit:
//
//   10 accounts hold 1000, as was paid in; 5321 transfers left and came, 200 of them by standing order; ...
//
// STORE_URL is sqlite:./bank.db by default; fdb:CLUSTER_FILE and etcd:HOST:PORT,... work the same.
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "bank.h"
#include "semper/env/one_shot.h"
#include "semper/env/standard_streams.h"
#include "semper/env/termination.h"

namespace {

constexpr std::size_t kAccounts = 10;
constexpr std::int64_t kPaidIn = 100;  // into each
constexpr std::size_t kClerks = 8;
// Of each account's standing order.
constexpr auto kPeriod = std::chrono::milliseconds(100);
constexpr std::uint64_t kPayments = 20;
constexpr std::uint64_t kSavings = 2;  // by the calendar, at full seconds
constexpr std::size_t kLines = 10;     // of a statement
constexpr auto kDemoTime = std::chrono::seconds(2);
constexpr auto kAuditLimit = std::chrono::seconds(60);
constexpr const char* kUsage =
    "usage: semper-bank demo|serve|work|audit|statement [STORE_URL]     (default: "
    "sqlite:./bank.db)\n";

int explain(const semper::Error& error) {
  std::cerr << "semper-bank: " << error.message() << '\n';
  return 1;
}

// The end of this process: asked for by a signal, or by a host that ended by itself.
using End = semper::OneShot<int>;

semper::Task<void> wait_for_signal(semper::Async<int> signal, End end) {
  const auto asked = co_await std::move(signal);
  if (!asked) explain(asked.error());
  end.set(0);
}

// The clerks of this process: they work from their making until stop().
class Clerks {
 public:
  Clerks(semper::Scheduler& scheduler, const semper::Store& store) : scheduler_(scheduler) {
    for (std::size_t i = 0; i < kClerks; ++i) {
      asio::co_spawn(scheduler.executor(), work(store, stop_.get_token(), done_.emplace_back()),
                     asio::detached);
    }
  }

  // What all of them did.
  bank::Work stop() {
    stop_.request_stop();
    bank::Work all;
    for (auto& done : done_) all.add(scheduler_.block_on(done.wait()).value_or(bank::Work()));
    return all;
  }

 private:
  using Done = semper::OneShot<bank::Work>;

  static semper::Task<void> work(semper::Store store, semper::StopToken stop, Done done) {
    semper::SeededRandom random(store.env().random->next());
    done.set(co_await bank::transfer_at_random(store, kAccounts, random, std::move(stop)));
  }

  semper::Scheduler& scheduler_;
  semper::StopSource stop_;
  std::vector<Done> done_;
};

void report(const bank::Work& work) {
  std::cout << work.done << " transfers, " << work.refused << " refused for insufficient funds, "
            << work.repeated << " sent again, " << work.unknown << " without an answer, "
            << work.failed << " failed\n";
  if (!work.last_error.empty()) std::cout << "the last error was " << work.last_error << '\n';
}

int audit(semper::Scheduler& scheduler, const semper::Store& store) {
  const auto paid_in = static_cast<std::int64_t>(kAccounts) * kPaidIn;
  const auto found = scheduler.block_on(bank::audit(store, paid_in, kAuditLimit));
  if (!found) return explain(found.error());
  for (const auto& sentence : found->wrong) std::cerr << "semper-bank: " << sentence << '\n';
  if (!found->wrong.empty()) return 1;
  std::cout << found->accounts << " accounts hold " << found->balances << ", as was paid in; "
            << found->sent << " transfers left and came, " << found->ordered
            << " of them by standing order; so say the " << found->lines
            << " lines of their statements\n";
  return 0;
}

int statement(semper::Scheduler& scheduler, const semper::Store& store) {
  const auto lines = scheduler.block_on(bank::last_lines(store, bank::account_name(0), kLines));
  if (!lines) return explain(lines.error());
  std::cout << "line  with  amount  balance\n";
  for (const auto& line : *lines) std::cout << line << '\n';
  return 0;
}

int work(semper::Scheduler& scheduler, const semper::Store& store, End end) {
  const auto opened = scheduler.block_on(bank::open_accounts(store, kAccounts, kPaidIn));
  if (!opened) return explain(opened.error());
  const auto ordered =
      scheduler.block_on(bank::order_payments(store, kAccounts, kPeriod, kPayments));
  if (!ordered) return explain(ordered.error());
  const auto saved =
      scheduler.block_on(bank::order_payments_by_calendar(store, kAccounts, kSavings));
  if (!saved) return explain(saved.error());
  Clerks clerks(scheduler, store);
  static_cast<void>(scheduler.block_on(end.wait()));
  report(clerks.stop());
  return 0;
}

int demo(semper::Scheduler& scheduler, const semper::Store& store, End end) {
  const auto opened = scheduler.block_on(bank::open_accounts(store, kAccounts, kPaidIn));
  if (!opened) return explain(opened.error());
  const auto ordered =
      scheduler.block_on(bank::order_payments(store, kAccounts, kPeriod, kPayments));
  if (!ordered) return explain(ordered.error());
  const auto saved =
      scheduler.block_on(bank::order_payments_by_calendar(store, kAccounts, kSavings));
  if (!saved) return explain(saved.error());
  Clerks clerks(scheduler, store);
  auto& clock = semper::system_clock();
  static_cast<void>(scheduler.block_on(end.wait_until(clock, clock.after(kDemoTime))));
  report(clerks.stop());
  return audit(scheduler, store);
}

int with_host(semper::Scheduler& scheduler, const semper::Store& store, End end,
              int (*then)(semper::Scheduler&, const semper::Store&, End)) {
  semper::Host host(store);
  host.serve<bank::Account>();
  if (const auto started = scheduler.block_on(host.start()); !started) {
    return explain(started.error());
  }
  // A host whose store has failed for good ends by itself, and this program with it.
  asio::co_spawn(scheduler.executor(), host.join(),
                 [end](std::exception_ptr, semper::Status) mutable { end.set(1); });
  const int code = then(scheduler, store, end);
  const auto stopped = scheduler.block_on(host.stop());
  return stopped ? code : explain(stopped.error());
}

int serve(semper::Scheduler& scheduler, const semper::Store&, End end) {
  std::cout << "serving\n" << std::flush;
  static_cast<void>(scheduler.block_on(end.wait()));
  return 0;
}

// Who only looks makes no store where the path is mistyped.
std::string existing(const std::string& url) {
  if (!url.starts_with("sqlite:") || url.find("access=") != std::string::npos) return url;
  return url + (url.find('?') == std::string::npos ? '?' : '&') + "access=existing";
}

int run(const std::string& role, const std::string& url) {
  auto signal = semper::termination();  // from here on it is kept
  semper::Scheduler scheduler;
  End end;
  asio::co_spawn(scheduler.executor(), wait_for_signal(std::move(signal), end), asio::detached);
  const bool only_looks = role == "audit" || role == "statement";
  const auto store = scheduler.block_on(semper::open_store(only_looks ? existing(url) : url));
  if (!store) return explain(store.error());
  int code = 2;
  if (role == "demo") code = with_host(scheduler, *store, end, demo);
  if (role == "serve") code = with_host(scheduler, *store, end, serve);
  if (role == "work") code = work(scheduler, *store, end);
  if (role == "audit") code = audit(scheduler, *store);
  if (role == "statement") code = statement(scheduler, *store);
  const auto closed = scheduler.block_on(store->close());
  return code != 0 || closed ? code : explain(closed.error());
}

}  // namespace

int main(int argc, char** argv) {
  semper::guard_standard_streams();
  const std::string role = argc > 1 ? argv[1] : "";
  const bool known =
      role == "demo" || role == "serve" || role == "work" || role == "audit" || role == "statement";
  if (!known || argc > 3) {
    std::cerr << kUsage;
    return role == "--help" ? 0 : 2;
  }
  return run(role, argc > 2 ? argv[2] : "sqlite:./bank.db");
}
