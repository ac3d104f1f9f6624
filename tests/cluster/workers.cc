#include "workers.h"

#include <unistd.h>

#include <atomic>
#include <functional>
#include <iostream>
#include <memory>

#include "bank/bank.h"
#include "checkers/history.h"
#include "counter.h"
#include "crash/ledger.h"
#include "crash/role.h"
#include "semper/env/one_shot.h"
#include "semper/semper.h"

namespace semper::testing {
namespace {

const CallOptions kPatience{std::chrono::seconds(5)};
constexpr Duration kAfterError = std::chrono::milliseconds(50);

// Opens the store, runs, closes it.
Status with_store(const std::string& url,
                  const std::function<Status(Scheduler&, const Store&)>& run) {
  Scheduler scheduler;
  SEMPER_TRY(const Store store, scheduler.block_on(open_store(url)));
  const Status status = run(scheduler, store);
  const Status closed = scheduler.block_on(store.close());
  return status ? closed : status;
}

Status serve(Scheduler& scheduler, const Store& store, const std::string& name) {
  HostOptions options;
  options.name = name;
  Host host(store, options);
  host.serve<ClusterCounter>();
  host.serve<Ledger>();
  host.serve<bank::Account>();
  SEMPER_TRY_STATUS(scheduler.block_on(host.start()));
  tell("ready");
  wait_for_end_of_input();
  SEMPER_TRY_STATUS(scheduler.block_on(host.stop()));
  tell("processed " + std::to_string(host.statistics().messages));
  return {};
}

// One operation after the other, on counters in a random order.
class CounterLane {
 public:
  CounterLane(Store store, HistoryWriter& history, std::atomic<std::uint64_t>& numbers,
              std::atomic<bool>& stopping, std::uint64_t seed)
      : store_(std::move(store)),
        history_(history),
        numbers_(numbers),
        stopping_(stopping),
        random_(seed) {}

  Task<void> run(OneShot<bool> end) {
    while (!stopping_) {
      const auto counter = counter_name(static_cast<int>(random_.below(kCounters)));
      const std::uint64_t number = ++numbers_;
      const auto target = ref<ClusterCounter>(store_, counter);
      Result<std::int64_t> value = 0;
      if (random_.chance(0.7)) {
        history_.invoked(number, counter, Operation::Kind::add);
        value = co_await target.call(ClusterCounter::Add{}, kPatience);
      } else {
        history_.invoked(number, counter, Operation::Kind::read);
        value = co_await target.call(ClusterCounter::Read{}, kPatience);
      }
      history_.returned(number, outcome_of(value), value.value_or(0));
      if (!value) static_cast<void>(co_await sleep_for(*store_.env().clock, kAfterError));
    }
    end.set(true);
  }

 private:
  static Operation::Outcome outcome_of(const Result<std::int64_t>& value) {
    if (value) return Operation::Outcome::done;
    const auto kind = value.error().kind();
    const bool refused = kind == ErrorKind::retry || kind == ErrorKind::exhausted ||
                         kind == ErrorKind::invalid_argument || kind == ErrorKind::conflict;
    return refused ? Operation::Outcome::refused : Operation::Outcome::open;
  }

  Store store_;
  HistoryWriter& history_;
  std::atomic<std::uint64_t>& numbers_;
  std::atomic<bool>& stopping_;
  SeededRandom random_;
};

Status run_counter_client(Scheduler& scheduler, const Store& store, const std::string& path,
                          std::uint64_t seed) {
  HistoryWriter history(path);
  std::atomic<std::uint64_t> numbers{0};
  std::atomic<bool> stopping{false};
  std::vector<std::unique_ptr<CounterLane>> lanes;
  std::vector<OneShot<bool>> ends(kCounterLanes);
  for (auto& end : ends) {
    lanes.push_back(std::make_unique<CounterLane>(store, history, numbers, stopping, ++seed));
    asio::co_spawn(scheduler.executor(), lanes.back()->run(end), asio::detached);
  }
  tell("ready");
  wait_for_end_of_input();
  stopping = true;
  for (auto& end : ends) SEMPER_TRY_STATUS(scheduler.block_on(end.wait()).map([](bool) {}));
  return {};
}

Task<void> clerk(Store store, StopToken stop, std::uint64_t seed, OneShot<bank::Work> end) {
  SeededRandom random(seed);
  end.set(co_await bank::transfer_at_random(store, kBankAccounts, random, stop));
}

Status run_clerks(Scheduler& scheduler, const Store& store, std::uint64_t seed) {
  SEMPER_TRY_STATUS(scheduler.block_on(bank::open_accounts(store, kBankAccounts, kBankPaidIn)));
  StopSource stop;
  std::vector<OneShot<bank::Work>> ends(kBankClerks);
  for (auto& end : ends) {
    asio::co_spawn(scheduler.executor(), clerk(store, stop.get_token(), ++seed, end),
                   asio::detached);
  }
  tell("ready");
  wait_for_end_of_input();
  stop.request_stop();
  bank::Work all;
  for (auto& end : ends) {
    SEMPER_TRY(const auto work, scheduler.block_on(end.wait()));
    all.add(work);
  }
  tell("done " + std::to_string(all.done) + " refused " + std::to_string(all.refused) +
       " unknown " + std::to_string(all.unknown) + " failed " + std::to_string(all.failed) +
       " repeated " + std::to_string(all.repeated) + " last " + all.last_error);
  return {};
}

}  // namespace

std::string counter_name(int number) {
  return "counter-" + std::to_string(number);
}

std::vector<std::string> host_arguments(const std::string& store, const std::string& name) {
  return {"--role=cluster-host", store, name};
}

std::vector<std::string> counter_client_arguments(const CounterClientOptions& options) {
  return {"--role=counter-client", options.store, options.history, std::to_string(options.seed)};
}

std::vector<std::string> clerk_arguments(const std::string& store, std::uint64_t seed) {
  return {"--role=clerk", store, std::to_string(seed)};
}

std::optional<int> run_cluster_role(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3) return std::nullopt;
  const std::string& role = arguments[0];
  std::function<Status(Scheduler&, const Store&)> run;
  if (role == "--role=cluster-host") {
    run = [&](Scheduler& scheduler, const Store& store) {
      return serve(scheduler, store, arguments.at(2));
    };
  } else if (role == "--role=counter-client") {
    run = [&](Scheduler& scheduler, const Store& store) {
      return run_counter_client(scheduler, store, arguments.at(2), std::stoull(arguments.at(3)));
    };
  } else if (role == "--role=clerk") {
    run = [&](Scheduler& scheduler, const Store& store) {
      return run_clerks(scheduler, store, std::stoull(arguments.at(2)));
    };
  } else {
    return std::nullopt;
  }
  const Status status = with_store(arguments.at(1), run);
  return status ? 0 : report(status.error().in(role));
}

}  // namespace semper::testing
