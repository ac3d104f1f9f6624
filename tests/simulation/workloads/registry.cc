// Names that many processes want: one live holder, tokens that grow, no late write of a former
// holder; and all is free again when those who held have gone.
#include <algorithm>
#include <map>
#include <set>

#include "semper/server/name_registry.h"
#include "semper/store/tuple_stream.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

KeyRange all_of_names() {
  Bytes key = Tenant::default_prefix();
  TupleWriter(key).add(20);
  return {key + '\x00', key + '\xff'};
}

class RegistryWorkload final : public Workload {
 public:
  RegistryWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host&, Process&) override {}
  std::vector<std::string> types() const override { return {}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::already_exists ||
           kind == ErrorKind::timeout;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      NameRegistryOptions options;
      options.lease = client.scenario().time("lease.host");
      options.owner = client.name();
      // On the loop of its caller, or on that of the process's host, which goes on without the
      // caller.
      const bool is_apart = client.random().chance(0.5) && client.process().loop(0).exists();
      options.executor = co_await asio::this_coro::executor;
      if (is_apart) options.executor = client.process().loop(0).executor();
      NameRegistry names(client.store(), options);
      for (auto left = 1 + client.random().below(4); left > 0; --left) {
        const std::string name = "name " + client.entity();
        if (client.random().chance(0.25)) {
          co_await look(client, names, name);
        } else {
          co_await hold(client, names, name);
        }
        co_await client.think();
      }
      if (client.random().chance(0.5)) {
        static_cast<void>(co_await client.operate("NameRegistry::close", "all", names.close()));
      }
    }
  }

  // An operator's registry comes to see who has died; nothing of anybody is left.
  Task<void> settle(Observer& observer) override {
    NameRegistryOptions options;
    options.executor = co_await asio::this_coro::executor;
    NameRegistry names(observer.store(), options);
    static_cast<void>(co_await names.lookup("any"));
    const auto latest = simulation_.clock().after(60s);
    std::size_t left = 0;
    while (true) {
      auto transaction = observer.store().begin();
      const auto range = all_of_names();
      const auto page = co_await transaction.get_range(range);
      if (page) left = page->rows.size();
      if (page && left == 0) break;
      if (simulation_.clock().now() >= latest) {
        observer.finding(std::to_string(left) + " rows of names are left, of nobody");
        break;
      }
      static_cast<void>(co_await sleep_for(simulation_.clock(), 100ms));
    }
    static_cast<void>(co_await names.close());
  }

  // The fenced writes, in the order of their commits: no token after a greater one.
  Task<void> judge(Observer& observer) override {
    std::map<std::string, std::uint64_t> highest;
    auto transaction = observer.store().begin();
    KeyRange rest("fence/", "fence0");
    for (bool more = true; more;) {
      const auto page = co_await transaction.get_range(rest);
      if (!page) {
        observer.finding("the fenced writes: " + page.error().to_string());
        break;
      }
      for (const auto& row : page->rows) {
        const std::string name = row.key.substr(0, row.key.size() - Versionstamp::store_size);
        const auto token = std::stoull(row.value);
        auto& last = highest[name];
        if (token < last) {
          observer.finding("a write to " + name + " with token " + row.value +
                           " was let through after one with " + std::to_string(last));
        }
        last = std::max<std::uint64_t>(last, token);
      }
      more = page->more && !page->rows.empty();
      if (more) rest.begin = key_after(page->rows.back().key);
    }
  }

 private:
  // Who holds a name at this moment, by its own clock. Ends with the client's loop, too.
  class Claimed {
   public:
    Claimed(RegistryWorkload& workload, const Holding& holding)
        : workload_(workload), holding_(holding) {
      workload_.claimed_.insert(&holding_);
    }
    Claimed(const Claimed&) = delete;
    Claimed& operator=(const Claimed&) = delete;
    ~Claimed() { workload_.claimed_.erase(&holding_); }

   private:
    RegistryWorkload& workload_;
    const Holding& holding_;
  };

  // Nobody else believes that it holds the name.
  void check_alone(const Holding& holding) {
    if (!holding.is_held()) return;
    for (const Holding* other : claimed_) {
      if (other == &holding || other->name() != holding.name() || !other->is_held()) continue;
      simulation_.finding(holding.name() + " is held with token " +
                          std::to_string(holding.token()) + " and with " +
                          std::to_string(other->token()) + " at once");
    }
  }

  Task<void> hold(Client& client, NameRegistry& names, const std::string& name) {
    NameMetadata metadata;
    metadata["client"] = client.name();
    Result<Holding> got = fail(ErrorKind::internal, "");
    if (client.random().chance(0.3)) {
      got = co_await client.operate("NameRegistry::acquire", name, names.acquire(name, metadata));
    } else {
      CampaignOptions options;
      options.metadata = metadata;
      // One that waits without end is answered when the faults are over.
      if (client.random().chance(0.3)) options.timeout = client.random().below(3000) * 1ms;
      got = co_await client.operate("NameRegistry::campaign", name, names.campaign(name, options));
    }
    if (!got) co_return;
    Holding& holding = *got;
    const Claimed claimed(*this, holding);
    check_alone(holding);
    if (holding.is_held()) {
      auto& highest = highest_[name];
      if (holding.token() <= highest) {
        simulation_.finding(name + " was given token " + std::to_string(holding.token()) +
                            " after " + std::to_string(highest));
      }
      highest = std::max(highest, holding.token());
    }
    simulation_.surface().drawn("Holding::is_held");
    simulation_.surface().drawn("Holding::lost");
    for (auto left = client.random().below(4); left > 0; --left) {
      if (client.random().chance(0.2)) {
        metadata["step"] = std::to_string(left);
        static_cast<void>(
            co_await client.operate("Holding::set_metadata", name, holding.set_metadata(metadata)));
      } else {
        co_await write(client, holding);
      }
      co_await client.think();
      check_alone(holding);
      if (holding.is_held() && holding.lost().stop_requested()) {
        simulation_.finding(name + " is lost and held");
      }
    }
    if (client.random().chance(0.6)) {
      static_cast<void>(co_await client.operate("Holding::release", name, holding.release()));
      if (holding.is_held()) simulation_.finding(name + " was released and is held");
    }
  }

  Task<void> write(Client& client, const Holding& holding) {
    // Nothing but the guard is read: only it stands between a late commit and the store.
    const Bytes begin = "fence/" + holding.name() + "/";
    const Bytes value = std::to_string(holding.token());
    const auto change = [&](Transaction& transaction) -> Async<void> {
      SEMPER_CO_TRY_STATUS(co_await holding.guard(transaction));
      transaction.set_versionstamped_key(begin + Bytes(Versionstamp::store_size, '\0'),
                                         begin.size(), value);
      co_return Status{};
    };
    static_cast<void>(
        co_await client.operate("Holding::guard", holding.name(), client.store().transact(change)));
  }

  Task<void> look(Client& client, NameRegistry& names, const std::string& name) {
    const auto kind = client.random().below(3);
    if (kind == 0) {
      static_cast<void>(co_await client.operate("NameRegistry::lookup", name, names.lookup(name)));
    } else if (kind == 1) {
      NameQuery query;
      query.where["client"] = client.name();
      const auto page =
          co_await client.operate("list_names", client.name(), list_names(client.store(), query));
      if (!page) co_return;
      for (const auto& view : page->names) {
        if (view.owner != client.name()) {
          simulation_.finding(view.name + " of " + view.owner + " was found for " + client.name());
        }
      }
    } else {
      simulation_.surface().drawn("NameRegistry::watch");
      auto watch = names.watch(name);
      std::uint64_t last = 0;
      for (int i = 0; i < 3; ++i) {
        const auto seen = co_await client.operate("NameWatch::next", name, watch.next(500ms));
        if (!seen || !*seen) continue;
        if ((*seen)->token < last) simulation_.finding("a watch of " + name + " went back");
        last = (*seen)->token;
      }
    }
  }

  Simulation& simulation_;
  std::set<const Holding*> claimed_;
  std::map<std::string, std::uint64_t> highest_;
};

}  // namespace

std::unique_ptr<Workload> make_registry(Simulation& simulation, const Scenario& scenario) {
  return make_workload<RegistryWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
