// Entities that nobody sends anything expire, among crashes and other calendars: what was counted
// in one is passed on once, by its last commit, and nothing that is sent meanwhile is lost.
#include "semper/base/bytes.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

// Keeps what the visitors that have gone had counted.
struct Register {
  using State = std::map<std::string, std::uint64_t>;
  struct Gone {
    std::string id;
    std::uint64_t visits = 0;
  };
  using Messages = semper::Messages<Gone>;
  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Gone& m, State& s, Context&) { s[m.id] += m.visits; }
};

struct Visitor {
  static constexpr auto kExpireAfter = 1500ms;
  using State = std::uint64_t;  // visits
  struct Visit {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::uint64_t how = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Visit>;

  static Bytes key_of(std::uint64_t publisher, std::uint64_t number) {
    return "visit " + std::to_string(publisher) + " " + std::to_string(number);
  }
  static void count(const Visit& m, State& s, Context& context) {
    ++s;
    context.transaction().add(key_of(m.publisher, m.number), 1);
  }

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::uint64_t> handle_call(const Visit& m, State& s, Context& context) {
    if (m.how == 1) return lock();
    count(m, s, context);
    if (m.how == 2) context.cast(semper::ref<Visitor>(context.tenant(), context.id().id), Visit());
    return m.number;
  }
  void handle_cast(const Visit& m, State& s, Context& context) {
    if (m.number > 0) count(m, s, context);
  }
  Reply<std::uint64_t> handle_locked(const Visit& m, State& s, LockedContext& context) {
    ++s;
    context.with_result([key = key_of(m.publisher, m.number)](Transaction& transaction) {
      transaction.add(key, 1);
    });
    return m.number;
  }
  // What it does before it refuses is not done.
  Outcome handle_expiry(State& s, Context& context) {
    const Register::Gone gone{context.id().id, s};
    context.cast(semper::ref<Register>(context.tenant(), "all"), gone);
    s += 1'000'000;
    if (context.random().chance(0.1)) throw std::runtime_error("not yet");
    return {};
  }
};

class ExpiryWorkload final : public Workload {
 public:
  ExpiryWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override {
    host.serve<Visitor>();
    host.serve<Register>();
  }
  std::vector<std::string> types() const override {
    return {std::string(type_name<Visitor>()), std::string(type_name<Register>())};
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto visitor = semper::ref<Visitor>(client.store(), id);
      auto& sent = log_.begin(client.index(), id);
      const Visitor::Visit visit{sent.publisher, sent.number, client.random().below(4)};
      const std::string words = in_words(id, sent);
      if (client.random().chance(0.5)) {
        auto told = co_await client.operate("Ref::call", words, visitor.call(visit, patient()));
        sent.fate = fate_of_call(told);
        if (told && *told != sent.number)
          simulation_.finding("visitor " + id + ": another's reply");
      } else {
        auto told = co_await client.operate("Ref::cast", words, visitor.cast(visit));
        sent.fate = fate_of_cast(told);
      }
      // About as long as an entity lives, or not at all.
      const auto longest = static_cast<std::uint64_t>(Duration(2s).count());
      if (client.random().chance(0.4) && !client.ends_soon()) {
        const Duration pause{static_cast<std::int64_t>(client.random().below(longest))};
        static_cast<void>(co_await sleep_for(simulation_.clock(), pause));
      }
      co_await client.think();
    }
  }

  // Until all have expired.
  Task<void> settle(Observer& observer) override {
    const MonotonicTime latest = simulation_.clock().after(50s);
    std::size_t left = 1;
    while (left > 0 && simulation_.clock().now() < latest) {
      const auto there =
          co_await list_entities(Tenant(observer.store()), std::string(type_name<Visitor>()));
      if (there) left = there->size();
      static_cast<void>(co_await sleep_for(simulation_.clock(), 100ms));
    }
    if (left > 0) observer.finding(std::to_string(left) + " visitors do not expire");
  }

  Task<void> judge(Observer& observer) override {
    std::uint64_t kept = 0;
    const auto passed_on = (co_await observer.state<Register>("all")).value_or(Register::State());
    for (const auto& [id, visits] : passed_on) kept += visits;
    for (std::size_t entity = 0; entity <= scenario_.count("entities"); ++entity) {
      kept += (co_await observer.state<Visitor>(std::to_string(entity))).value_or(0);
    }
    std::uint64_t counted = 0;
    Transaction transaction = observer.store().begin();
    for (const auto& sent : all_sent()) {
      const auto row = co_await transaction.get(Visitor::key_of(sent.publisher, sent.number));
      const std::uint64_t times = row && *row ? load_little_endian_u64(**row) : 0;
      counted += times;
      const bool fits = sent.fate == Fate::done      ? times == 1
                        : sent.fate == Fate::refused ? times == 0
                                                     : times <= 1;
      if (fits) continue;
      observer.finding("visit " + std::to_string(sent.publisher) + "." +
                       std::to_string(sent.number) + " counted " + std::to_string(times) +
                       " times");
    }
    if (kept != counted) {
      observer.finding("the visitors and what those that went had are " + std::to_string(kept) +
                       ", and " + std::to_string(counted) + " were counted");
    }
  }

 private:
  std::vector<testing::Sent> all_sent() const {
    std::vector<testing::Sent> all;
    for (const auto& id : log_.entities()) {
      for (const auto& sent : log_.sent_to(id)) all.push_back(sent);
    }
    return all;
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  SentLog log_;
};

}  // namespace

std::unique_ptr<Workload> make_expiry(Simulation& simulation, const Scenario& scenario) {
  return make_workload<ExpiryWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
