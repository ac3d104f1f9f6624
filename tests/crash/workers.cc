#include "workers.h"

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>

#include "bomb.h"
#include "journal.h"
#include "ledger.h"
#include "name_owner.h"
#include "role.h"
#include "semper/env/one_shot.h"
#include "vault.h"

namespace semper::testing {
namespace {

constexpr auto kCallTimeout = std::chrono::seconds(10);

// Posts one after the other, to ledgers in a random order, and keeps the journal.
class Lane {
 public:
  Lane(Store store, const PublisherOptions& options, int number, JournalWriter& journal,
       std::atomic<bool>& stopping)
      : store_(std::move(store)),
        options_(options),
        name_(options.name + "." + std::to_string(number)),
        random_(options.seed * 1000 + static_cast<std::uint64_t>(number)),
        journal_(journal),
        stopping_(stopping) {}

  Task<void> run(OneShot<bool> done) {
    while (!stopping_) {
      const std::size_t ledger = random_.below(kLedgers);
      const std::string id = options_.ledgers + "-" + std::to_string(ledger);
      const auto target = ref<Ledger>(store_, id);
      const auto choice = random_.below(100);
      if (choice < 65) {
        const std::size_t count = choice < 45 ? 1 : 3;
        std::vector<Ledger::Post> posts;
        while (posts.size() < count) posts.push_back(next(ledger));
        co_await cast(target, id, std::move(posts));
      } else {
        co_await call(target, id, next(ledger));
      }
    }
    done.set(true);
  }

 private:
  Ledger::Post next(std::size_t ledger) {
    return {name_, ++last_[ledger], random_.chance(0.2) ? options_.total : std::string()};
  }

  std::vector<Step> steps(const std::string& id, const std::vector<Ledger::Post>& posts,
                          Step::Kind kind) const {
    std::vector<Step> result;
    for (const auto& post : posts) result.push_back({kind, id, name_, post.number, 0});
    return result;
  }

  static Step::Kind kind_of(const Error& error) {
    const bool open = error.kind() != ErrorKind::retry && error.kind() != ErrorKind::exhausted &&
                      error.kind() != ErrorKind::invalid_argument;
    return open ? Step::Kind::failed : Step::Kind::refused;
  }

  Task<void> cast(Ref<Ledger> target, std::string id, std::vector<Ledger::Post> posts) {
    Batch<Ledger> batch;
    for (const auto& post : posts) batch.add(post);
    journal_.write(steps(id, posts, Step::Kind::intent));
    auto done = co_await target.cast(batch);
    if (!done) report(done.error().in("cast to " + id));
    journal_.write(steps(id, posts, done ? Step::Kind::cast_done : kind_of(done.error())));
  }

  Task<void> call(Ref<Ledger> target, std::string id, Ledger::Post post) {
    journal_.write({{Step::Kind::intent, id, name_, post.number, 0}});
    const CallOptions limit{kCallTimeout};
    auto receipt = co_await target.call(post, limit);
    Step step{Step::Kind::call_done, id, name_, post.number, 0};
    if (!receipt) {
      report(receipt.error().in("call to " + id));
      step.kind = kind_of(receipt.error());
    } else if (receipt->publisher != name_ || receipt->number != post.number) {
      step.kind = Step::Kind::wrong_reply;
    } else {
      step.detail = receipt->applied;
    }
    journal_.write({step});
  }

  Store store_;
  const PublisherOptions& options_;
  const std::string name_;
  SeededRandom random_;
  JournalWriter& journal_;
  std::atomic<bool>& stopping_;
  std::uint64_t last_[kLedgers] = {};
};

Status publish(const PublisherOptions& options) {
  JournalWriter journal(options.journal);
  Scheduler scheduler;
  SEMPER_TRY(auto store, scheduler.block_on(open_store(options.store)));
  {
    Host host(store, crash_host_options(options.name));
    if (options.serves) {
      host.serve<Ledger>();
      SEMPER_TRY_STATUS(scheduler.block_on(host.start()));
    }
    std::atomic<bool> stopping{false};
    std::vector<std::unique_ptr<Lane>> lanes;
    std::vector<OneShot<bool>> ends(kLanes);
    for (int i = 0; i < kLanes; ++i) {
      lanes.push_back(std::make_unique<Lane>(store, options, i, journal, stopping));
      asio::co_spawn(scheduler.executor(), lanes.back()->run(ends[static_cast<std::size_t>(i)]),
                     asio::detached);
    }
    tell("ready");
    wait_for_end_of_input();
    stopping = true;
    for (auto& end : ends) SEMPER_TRY_STATUS(scheduler.block_on(end.wait()).map([](bool) {}));
    if (options.serves) SEMPER_TRY_STATUS(scheduler.block_on(host.stop()));
  }
  return scheduler.block_on(store.close());
}

template <class Serve>
Status serve_until_end_of_input(const std::string& url, const std::string& name, Serve serve) {
  Scheduler scheduler;
  SEMPER_TRY(auto store, scheduler.block_on(open_store(url)));
  {
    Host host(store, crash_host_options(name));
    serve(host);
    SEMPER_TRY_STATUS(scheduler.block_on(host.start()));
    tell("ready");
    wait_for_end_of_input();
    SEMPER_TRY_STATUS(scheduler.block_on(host.stop()));
    tell("processed " + std::to_string(host.statistics().messages));
  }
  return scheduler.block_on(store.close());
}

}  // namespace

HostOptions crash_host_options(const std::string& name) {
  HostOptions options;
  options.host_lease = kHostLease;
  options.lock_lease = kLockLease;
  options.name = name;
  return options;
}

std::vector<std::string> to_arguments(const PublisherOptions& options) {
  return {"--role=publisher",
          options.store,
          options.journal,
          options.name,
          options.ledgers,
          options.total,
          std::to_string(options.seed),
          options.serves ? "serves" : "only-publishes"};
}

std::vector<std::string> consumer_arguments(const std::string& store, const std::string& name) {
  return {"--role=consumer", store, name};
}

std::vector<std::string> vault_host_arguments(const std::string& store, const std::string& folder) {
  return {"--role=vault-host", store, folder};
}

std::vector<std::string> bomb_host_arguments(const std::string& store, const std::string& folder) {
  return {"--role=bomb-host", store, folder};
}

std::optional<int> run_role(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return std::nullopt;
  const std::string& role = arguments[0];
  Status status;
  if (role == "--role=publisher") {
    status = publish({arguments.at(1), arguments.at(2), arguments.at(3), arguments.at(4),
                      arguments.at(5), std::stoull(arguments.at(6)), arguments.at(7) == "serves"});
  } else if (role == "--role=consumer") {
    status = serve_until_end_of_input(arguments.at(1), arguments.at(2),
                                      [](Host& host) { host.serve<Ledger>(); });
  } else if (role == "--role=vault-host") {
    status = serve_until_end_of_input(
        arguments.at(1), "vault host " + std::to_string(::getpid()),
        [&](Host& host) { host.serve<Vault>(std::make_shared<Vault>(arguments.at(2))); });
  } else if (role == "--role=bomb-host") {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    status = serve_until_end_of_input(
        arguments.at(1), "bomb host " + std::to_string(::getpid()),
        [&](Host& host) { host.serve<Bomb>(std::make_shared<Bomb>(arguments.at(2))); });
  } else if (role == "--role=name-owner") {
    status = own_a_name(arguments.at(1));
  } else {
    return std::nullopt;
  }
  return status ? 0 : report(status.error().in(role));
}

}  // namespace semper::testing
