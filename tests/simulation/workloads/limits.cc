// Limits of types, among crashes and pauses: no more messages of a key, and of all keys of a type,
// than their rates allow in any time, no more handle_locked at a time than their concurrencies, and
// each message once, in order. What a type that refuses has refused never runs.
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
  static constexpr RateLimit kTypeRateLimit{.messages = 12, .per = 1s, .burst = 3};
  static std::string limit_key(const EntityId& id) { return key_of_entity(id); }
  static int limit_weight(std::string_view key) { return key == "even" ? 2 : 1; }
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
  static constexpr int kTypeConcurrencyLimit = 3;
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

// What is over its rate does not wait.
struct Tap {
  static constexpr RateLimit kRateLimit{.messages = 8, .per = 1s, .burst = 2};
  static constexpr OverLimit kOverLimit = OverLimit::refuse;
  static std::string limit_key(const EntityId& id) { return key_of_entity(id); }
  using State = std::vector<Line>;
  using Pour = Pump::Pour;
  using Messages = semper::Messages<Pour>;

  explicit Tap(LimitsWorkload& of) : workload(of) {}
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Pour& m, State& s, Context& context);

  LimitsWorkload& workload;
};

class LimitsWorkload final : public Workload {
 public:
  LimitsWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Pump>(*this));
    host.serve(std::make_shared<Berth>(*this));
    host.serve(std::make_shared<Tap>(*this));
  }
  std::vector<std::string> types() const override {
    return {std::string(type_name<Pump>()), std::string(type_name<Berth>()),
            std::string(type_name<Tap>())};
  }

  // The last run counts: what ran before it was undone.
  void poured(const std::string& key, std::uint64_t publisher, std::uint64_t number) {
    poured_[{key, publisher, number}] = simulation_.clock().now();
  }
  void tapped(const std::string& key, std::uint64_t publisher, std::uint64_t number) {
    tapped_[{key, publisher, number}] = simulation_.clock().now();
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      const auto kind = client.random().below(7);
      if (kind == 6) {
        co_await tap(client, id);
      } else if (kind < 4) {
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
    for (const auto& id : tapped_from_.entities()) {
      const auto state = co_await observer.state<Tap>(id);
      tapped_from_.judge(observer, "tap", id, delivered(state.value_or(Tap::State())));
    }
    std::map<std::string, std::vector<MonotonicTime>> times;
    std::vector<MonotonicTime> of_type;
    for (const auto& [message, when] : poured_) {
      times[std::get<0>(message)].push_back(when);
      of_type.push_back(when);
    }
    for (auto& [key, of_key] : times) judge_rate(observer, "key " + key, Pump::kRateLimit, of_key);
    judge_rate(observer, "all keys", Pump::kTypeRateLimit, of_type);
    times.clear();
    for (const auto& [message, when] : tapped_) times[std::get<0>(message)].push_back(when);
    for (auto& [key, of_key] : times) {
      judge_rate(observer, "key " + key + " of taps", Tap::kRateLimit, of_key);
    }
  }

 private:
  using Runs = std::map<std::tuple<std::string, std::uint64_t, std::uint64_t>, MonotonicTime>;

  // Without a wait: an answer, or that it is refused.
  Task<void> tap(Client& client, const std::string& id) {
    auto& sent = tapped_from_.begin(client.index(), id);
    auto of = semper::ref<Tap>(client.store(), id);
    const Tap::Pour message{sent.publisher, sent.number};
    const auto told =
        co_await client.operate("Ref::call", in_words(id, sent), of.call(message, patient()));
    sent.fate = fate_of_call(told);
  }
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
    std::uint64_t all = 0;
    Transaction transaction = client.store().begin();
    for (const char* key : {"even", "odd"}) {
      const auto row = co_await transaction.get(Berth::taken(key));
      if (!row) co_return;
      const std::uint64_t taken = *row ? load_little_endian_u64(**row) : 0;
      all += taken;
      if (taken <= Berth::kConcurrencyLimit) continue;
      simulation_.finding(std::to_string(taken) + " berths of key " + key + " are taken");
    }
    if (all > Berth::kTypeConcurrencyLimit) {
      simulation_.finding(std::to_string(all) + " berths of both keys are taken");
    }
  }

  static void judge_rate(Observer& observer, const std::string& of, const RateLimit& rate,
                         std::vector<MonotonicTime>& times) {
    std::sort(times.begin(), times.end());
    for (std::size_t i = 0; i < times.size(); ++i) {
      for (std::size_t j = i; j < times.size(); ++j) {
        const double span = std::chrono::duration<double>(times[j] - times[i]).count();
        const double allowed = rate.burst + rate.messages * (span + 1.0);
        if (static_cast<double>(j - i + 1) <= allowed) continue;
        observer.finding(std::to_string(j - i + 1) + " messages of " + of + " were handled in " +
                         std::to_string(span) + " s");
        return;
      }
    }
  }

  Simulation& simulation_;
  SentLog pumped_;
  SentLog moored_;
  SentLog tapped_from_;
  Runs poured_;
  Runs tapped_;
};

void Pump::pour(const Pour& m, State& s, const EntityId& id) {
  workload.poured(key_of_entity(id), m.publisher, m.number);
  s.push_back({m.publisher, m.number});
}

Reply<std::uint64_t> Tap::handle_call(const Pour& m, State& s, Context& context) {
  workload.tapped(key_of_entity(context.id()), m.publisher, m.number);
  s.push_back({m.publisher, m.number});
  return m.number;
}

}  // namespace

std::unique_ptr<Workload> make_limits(Simulation& simulation, const Scenario& scenario) {
  return make_workload<LimitsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
