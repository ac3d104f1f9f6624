// Limits of types, among crashes and pauses: no more messages of a key than its rate allows in any
// time, no more of its handle_locked at a time than its concurrency, and each message once, in
// order.
#include <algorithm>
#include <map>
#include <tuple>

#include "semper/base/bytes.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

class LimitsWorkload;

// Two keys, whatever the number of entities.
std::string key_of_entity(const EntityId& id) {
  return id.id.empty() || (id.id.back() - '0') % 2 == 0 ? "even" : "odd";
}

// By its rate.
struct Pump {
  static constexpr RateLimit kRateLimit{.messages = 8, .per = 1s, .burst = 2};
  static std::string limit_key(const EntityId& id) { return key_of_entity(id); }
  using State = std::vector<Line>;
  struct Pour {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Pour>;

  explicit Pump(LimitsWorkload& of) : workload(of) {}
  Result<State> init(const EntityId&) { return State(); }
  void pour(const Pour& m, State& s, const EntityId& id);
  Reply<std::uint64_t> handle_call(const Pour& m, State& s, Context& context) {
    pour(m, s, context.id());
    return m.number;
  }
  void handle_cast(const Pour& m, State& s, Context& context) { pour(m, s, context.id()); }

  LimitsWorkload& workload;
};

// By how many are at work at a time, which each counts in the commits that take and give back its
// lock.
struct Berth {
  static constexpr int kConcurrencyLimit = 2;
  static std::string limit_key(const EntityId& id) { return key_of_entity(id); }
  using State = std::vector<Line>;
  struct Moor {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::uint64_t steps = 0;  // of 50 ms
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Moor>;

  static Bytes taken(const std::string& key) { return "berths " + key; }

  explicit Berth(LimitsWorkload& of) : workload(of) {}
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Moor&, State&, Context& context) {
    context.transaction().add(taken(key_of_entity(context.id())), 1);
    return lock();
  }
  Outcome handle_cast(const Moor&, State&, Context& context) {
    context.transaction().add(taken(key_of_entity(context.id())), 1);
    return lock();
  }
  Task<Reply<std::uint64_t>> handle_locked(const Moor& m, State& s, LockedContext& context) {
    for (std::uint64_t step = 0; step < m.steps && !context.lost().stop_requested(); ++step) {
      static_cast<void>(co_await sleep_for(context.clock(), 50ms));
    }
    s.push_back({m.publisher, m.number});
    context.with_result([key = taken(key_of_entity(context.id()))](Transaction& transaction) {
      transaction.add(key, -1);
    });
    co_return m.number;
  }

  LimitsWorkload& workload;
};

class LimitsWorkload final : public Workload {
 public:
  LimitsWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Pump>(*this));
    host.serve(std::make_shared<Berth>(*this));
  }
  std::vector<std::string> types() const override {
    return {std::string(type_name<Pump>()), std::string(type_name<Berth>())};
  }

  // The last run counts: what ran before it was undone.
  void poured(const std::string& key, std::uint64_t publisher, std::uint64_t number) {
    poured_[{key, publisher, number}] = simulation_.clock().now();
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      const auto kind = client.random().below(6);
      if (kind < 4) {
        co_await pour(client, id, kind);
      } else {
        co_await moor(client, id, kind);
      }
      co_await count_berths(client);
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : pumped_.entities()) {
      const auto state = co_await observer.state<Pump>(id);
      pumped_.judge(observer, "pump", id, delivered(state.value_or(Pump::State())));
    }
    for (const auto& id : moored_.entities()) {
      const auto state = co_await observer.state<Berth>(id);
      moored_.judge(observer, "berth", id, delivered(state.value_or(Berth::State())));
    }
    std::map<std::string, std::vector<MonotonicTime>> times;
    for (const auto& [message, when] : poured_) times[std::get<0>(message)].push_back(when);
    for (auto& [key, of_key] : times) judge_rate(observer, key, of_key);
  }

 private:
  Task<void> pour(Client& client, const std::string& id, std::uint64_t kind) {
    auto& sent = pumped_.begin(client.index(), id);
    auto pump = semper::ref<Pump>(client.store(), id);
    const Pump::Pour message{sent.publisher, sent.number};
    const std::string words = in_words(id, sent);
    if (kind == 0) {
      auto told = co_await client.operate("Ref::call", words, pump.call(message, patient()));
      sent.fate = fate_of_call(told);
    } else {
      auto told = co_await client.operate("Ref::cast", words, pump.cast(message));
      sent.fate = fate_of_cast(told);
    }
  }
  Task<void> moor(Client& client, const std::string& id, std::uint64_t kind) {
    auto& sent = moored_.begin(client.index(), id);
    auto berth = semper::ref<Berth>(client.store(), id);
    const Berth::Moor message{sent.publisher, sent.number, client.random().below(20)};
    const std::string words = in_words(id, sent);
    if (kind == 4) {
      auto told = co_await client.operate("Ref::call", words, berth.call(message, patient()));
      sent.fate = fate_of_call(told);
    } else {
      auto told = co_await client.operate("Ref::cast", words, berth.cast(message));
      sent.fate = fate_of_cast(told);
    }
  }

  Task<void> count_berths(Client& client) {
    for (const char* key : {"even", "odd"}) {
      Transaction transaction = client.store().begin();
      const auto row = co_await transaction.get(Berth::taken(key));
      const std::uint64_t taken = row && *row ? load_little_endian_u64(**row) : 0;
      if (taken <= Berth::kConcurrencyLimit) continue;
      simulation_.finding(std::to_string(taken) + " berths of key " + key + " are taken");
    }
  }

  static void judge_rate(Observer& observer, const std::string& key,
                         std::vector<MonotonicTime>& times) {
    constexpr RateLimit kRate = Pump::kRateLimit;
    std::sort(times.begin(), times.end());
    for (std::size_t i = 0; i < times.size(); ++i) {
      for (std::size_t j = i; j < times.size(); ++j) {
        const double span = std::chrono::duration<double>(times[j] - times[i]).count();
        const double allowed = kRate.burst + kRate.messages * (span + 1.0);
        if (static_cast<double>(j - i + 1) <= allowed) continue;
        observer.finding(std::to_string(j - i + 1) + " messages of key " + key +
                         " were handled in " + std::to_string(span) + " s");
        return;
      }
    }
  }

  Simulation& simulation_;
  SentLog pumped_;
  SentLog moored_;
  std::map<std::tuple<std::string, std::uint64_t, std::uint64_t>, MonotonicTime> poured_;
};

void Pump::pour(const Pour& m, State& s, const EntityId& id) {
  workload.poured(key_of_entity(id), m.publisher, m.number);
  s.push_back({m.publisher, m.number});
}

}  // namespace

std::unique_ptr<Workload> make_limits(Simulation& simulation, const Scenario& scenario) {
  return make_workload<LimitsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
