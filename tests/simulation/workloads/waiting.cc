// Callbacks that wait: for time, for keys of their own, for the state of another entity. Each
// message once, in the order of its publisher; what is counted in a key is what the states hold;
// what two entities promise to each other by looking, they keep; and a call that comes back to who
// waits for it is refused, at once.
#include <algorithm>
#include <set>

#include "semper/base/bytes.h"
#include "semper/store/keys.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

class WaitingWorkload;

struct Looker {
  struct State {
    std::vector<Line> lines;
    std::uint64_t taken = 0;  // of what it shares with its neighbour
    std::uint64_t passed = 0;
    std::uint64_t got = 0;
    ReplyToken asker = {};
  };
  struct Note {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::uint64_t wait_us = 0;
    using Reply = std::uint64_t;
  };
  // On to its neighbour, from under the lock, with a count in a key; its caller is answered there.
  struct Pass {
    using Reply = std::uint64_t;
  };
  struct Got {};
  // On to its neighbour, and from there back to this one, which waits.
  struct Circle {
    std::uint64_t hops = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Note, Pass, Got, Circle>;

  explicit Looker(WaitingWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Async<std::uint64_t> handle_call(const Note& m, State& s, Context& context);
  Async<void> handle_cast(const Note& m, State& s, Context& context);
  Reply<std::uint64_t> handle_call(const Pass&, State& s, Context& context) {
    s.asker = context.reply_token();
    return lock();
  }
  Reply<std::uint64_t> handle_locked(const Pass&, State& s, LockedContext& context);
  void handle_cast(const Got&, State& s, Context&) { ++s.got; }
  Async<std::uint64_t> handle_call(const Circle& m, State& s, Context& context);

  WaitingWorkload& workload;
  // Entities with a callback under way in this process; a callback that is destroyed is over, too.
  std::shared_ptr<std::set<std::string>> busy = std::make_shared<std::set<std::string>>();
};

class Inside {
 public:
  Inside(std::shared_ptr<std::set<std::string>> busy, std::string id)
      : busy_(std::move(busy)), id_(std::move(id)), is_first_(busy_->insert(id_).second) {}
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    if (is_first_) busy_->erase(id_);
  }
  bool is_first() const { return is_first_; }

 private:
  const std::shared_ptr<std::set<std::string>> busy_;
  const std::string id_;
  const bool is_first_;
};

constexpr const char* kLedger = "lines of all lookers";
constexpr const char* kPassed = "what all lookers passed on";
constexpr std::uint64_t kShared = 7;  // that two neighbours may take

std::string neighbour_of(const std::string& id) {
  return std::to_string(std::stoull(id) ^ 1);
}

class WaitingWorkload final : public Workload {
 public:
  WaitingWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Looker>(*this)); }
  // A loop or a process that does not run for a while takes a callback's time away.
  bool expects(ErrorKind kind) const override {
    const bool stalls =
        scenario_.values.at("loop_stalled.every") > 0 || scenario_.values.at("pause.every") > 0 ||
        scenario_.values.at("store.slow") > 0 || scenario_.values.at("crash.every") > 0 ||
        scenario_.values.at("loop_destroyed.every") > 0 || scenario_.values.at("restart.every") > 0;
    return Workload::expects(kind) || (kind == ErrorKind::internal && stalls);
  }
  std::vector<std::string> types() const override { return {std::string(type_name<Looker>())}; }

  Async<void> note(Looker& looker, Looker::Note m, Looker::State& s, Context& context) {
    const Inside inside(looker.busy, context.id().id);
    if (!inside.is_first()) {
      simulation_.finding("looker " + context.id().id + ": two callbacks at once");
    }
    // Each second one changes a key that all have in common; the others have nothing but their
    // neighbour.
    const bool counts = m.number % 2 == 0;
    std::optional<Bytes> there;
    if (counts) {
      SEMPER_CO_TRY(there, co_await context.transaction().get(kLedger));
    }
    if (m.wait_us > 0) {
      const Duration pause = std::chrono::microseconds(m.wait_us);
      static_cast<void>(co_await sleep_for(simulation_.clock(), pause));
    }
    simulation_.surface().drawn("Context::state_of");
    const auto other = semper::ref<Looker>(context.tenant(), neighbour_of(context.id().id));
    SEMPER_CO_TRY(const auto neighbour, co_await context.state_of(other));
    if (s.taken + (neighbour ? neighbour->taken : 0) < kShared) ++s.taken;
    s.lines.push_back({m.publisher, m.number});
    const std::uint64_t lines = there ? std::stoull(*there) : 0;
    if (counts) context.transaction().set(kLedger, std::to_string(lines + 1));
    co_return Status{};
  }

  // Refused where it comes back: then its hops are the answer.
  Async<std::uint64_t> go_round(Ref<Looker> looker, std::uint64_t hops) {
    const Looker::Circle circle{hops};
    auto told = co_await looker.call(circle, patient());
    const std::string who = looker.entity().to_string();
    const bool comes_back = hops == 2;
    if (comes_back && told) simulation_.finding(who + " was called by a call that it waited for");
    if (!comes_back || told || told.error().kind() != ErrorKind::unsupported) co_return told;
    if (told.error().message().find(" -> " + who + ": ") == std::string::npos) {
      simulation_.finding("a circle without its names: " + told.error().message());
    }
    co_return hops;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto looker = semper::ref<Looker>(client.store(), id);
      if (client.random().chance(0.15)) {
        // From the first of two, so that no two circles wait for each other.
        const std::string first = std::to_string(std::stoull(id) & ~std::uint64_t{1});
        const std::uint64_t hops = client.random().below(3);
        co_await client.operate("Ref::call", std::to_string(hops) + " hops from " + first,
                                go_round(semper::ref<Looker>(client.store(), first), hops));
        co_await client.think();
        continue;
      }
      if (client.random().chance(0.2)) {
        auto told = co_await client.operate("Ref::call", "pass on from " + id,
                                            looker.call(Looker::Pass(), patient()));
        if (told && *told == 0) simulation_.finding("looker " + id + ": another's reply");
        co_await client.think();
        continue;
      }
      auto& sent = log_.begin(client.index(), id);
      const std::uint64_t wait = client.random().chance(0.5) ? client.random().below(200'000) : 0;
      const Looker::Note note{sent.publisher, sent.number, wait};
      const std::string words = in_words(id, sent);
      if (client.random().chance(0.5)) {
        auto told = co_await client.operate("Ref::call", words, looker.call(note, patient()));
        sent.fate = fate_of_call(told);
        if (told && *told != sent.number) simulation_.finding("looker " + id + ": another's reply");
      } else {
        auto told = co_await client.operate("Ref::cast", words, looker.cast(note));
        sent.fate = fate_of_cast(told);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    std::uint64_t lines = 0;
    std::uint64_t passed = 0;
    std::uint64_t got = 0;
    std::map<std::string, std::uint64_t> taken;
    for (std::size_t entity = 0; entity <= scenario_.count("entities"); ++entity) {
      const std::string id = std::to_string(entity);
      const auto state = (co_await observer.state<Looker>(id)).value_or(Looker::State());
      passed += state.passed;
      got += state.got;
      log_.judge(observer, "looker", id, delivered(state.lines));
      lines += static_cast<std::uint64_t>(std::ranges::count_if(
          state.lines, [](const Line& line) { return line.number % 2 == 0; }));
      taken[id] = state.taken;
    }
    for (const auto& [id, count] : taken) {
      const auto other = taken.find(neighbour_of(id));
      const std::uint64_t both = count + (other == taken.end() ? 0 : other->second);
      if (both > kShared) {
        observer.finding("looker " + id + " and its neighbour took " + std::to_string(both) +
                         " of " + std::to_string(kShared));
      }
    }
    Transaction transaction = observer.store().begin();
    auto counted = co_await transaction.get(kLedger);
    const std::string there = counted && *counted ? **counted : "0";
    if (!counted || there != std::to_string(lines)) {
      observer.finding("the ledger says " + there + ", the states hold " + std::to_string(lines));
    }
    auto passed_on = co_await transaction.get(kPassed);
    const std::uint64_t by_key =
        passed_on && *passed_on ? load_little_endian_u64(**passed_on) : std::uint64_t{0};
    if (passed != got || passed != by_key) {
      observer.finding(std::to_string(passed) + " passed on, " + std::to_string(got) +
                       " came, the key says " + std::to_string(by_key));
    }
  }

  Simulation& simulation() { return simulation_; }

 private:
  Simulation& simulation_;
  const Scenario& scenario_;
  SentLog log_;
};

Async<std::uint64_t> Looker::handle_call(const Note& m, State& s, Context& context) {
  SEMPER_CO_TRY_STATUS(co_await workload.note(*this, m, s, context));
  co_return m.number;
}

Async<std::uint64_t> Looker::handle_call(const Circle& m, State&, Context& context) {
  if (m.hops == 0) co_return std::uint64_t{0};
  const Circle rest{m.hops - 1};
  const auto next = semper::ref<Looker>(context.tenant(), neighbour_of(context.id().id));
  SEMPER_CO_TRY(const std::uint64_t hops, co_await next.call(rest, patient()));
  co_return hops + 1;
}

Reply<std::uint64_t> Looker::handle_locked(const Pass&, State& s, LockedContext& context) {
  for (const char* operation :
       {"LockedContext::cast", "LockedContext::reply", "LockedContext::with_result"}) {
    workload.simulation().surface().drawn(operation);
  }
  const Got got;
  context.cast(semper::ref<Looker>(context.tenant(), neighbour_of(context.id().id)), got);
  context.with_result([](Transaction& transaction) { transaction.add(kPassed, 1); });
  context.reply(s.asker, ++s.passed);
  s.asker = ReplyToken();
  return no_reply;
}

Async<void> Looker::handle_cast(const Note& m, State& s, Context& context) {
  return workload.note(*this, m, s, context);
}

}  // namespace

std::unique_ptr<Workload> make_waiting(Simulation& simulation, const Scenario& scenario) {
  return make_workload<WaitingWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
