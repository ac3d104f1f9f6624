// Actions after the commit: at most once, with a state that holds their message, and each where
// nothing went wrong. One that halts ends those behind it.
#include "checkers/actions.h"

#include <algorithm>
#include <map>

#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

class ActionsWorkload;

struct Doer {
  using State = std::vector<Line>;
  struct Do {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Do>;

  explicit Doer(ActionsWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Do& m, State& s, Context& context);
  Outcome handle_cast(const Do& m, State& s, Context& context);

  ActionsWorkload& workload;
};

class ActionsWorkload final : public Workload {
 public:
  ActionsWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Doer>(*this)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Doer>())}; }

  void acted(const std::string& id, const Doer::Do& message, const Doer::State& state) {
    simulation_.surface().drawn("Reply::then");
    const bool had = std::any_of(state.begin(), state.end(), [&](const Line& line) {
      return line.publisher == message.publisher && line.number == message.number;
    });
    runs_[id].push_back({key(message.publisher, message.number), had});
  }
  void acted_behind_a_halt(const std::string& id) {
    simulation_.finding("doer " + id + ": an action ran although one before it halted");
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto doer = semper::ref<Doer>(client.store(), id);
      auto& sent = log_.begin(client.index(), id);
      const Doer::Do message{sent.publisher, sent.number};
      const std::string words = in_words(id, sent);
      if (client.random().chance(0.5)) {
        auto told = co_await client.operate("Ref::call", words, doer.call(message, patient()));
        sent.fate = fate_of_call(told);
      } else {
        auto told = co_await client.operate("Ref::cast", words, doer.cast(message));
        sent.fate = fate_of_cast(told);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    const auto expected =
        is_calm() ? testing::ActionsExpected::once : testing::ActionsExpected::at_most_once;
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Doer>(id);
      std::set<std::uint64_t> committed;
      for (const auto& line : state.value_or(Doer::State())) {
        committed.insert(key(line.publisher, line.number));
      }
      log_.judge(observer, "doer", id, delivered(state.value_or(Doer::State())));
      for (const auto& wrong :
           testing::judge_actions("doer " + id, runs_[id], committed, expected)) {
        observer.finding(wrong);
      }
    }
  }

 private:
  static std::uint64_t key(std::uint64_t publisher, std::uint64_t number) {
    return publisher * 1'000'000 + number;
  }
  bool is_calm() const {
    for (const auto& [name, value] : scenario_.values) {
      if (unit_of(name) == Unit::rate && value > 0) return false;
    }
    return scenario_.disturbances.empty();
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  SentLog log_;
  std::map<std::string, std::vector<testing::ActionRun>> runs_;
};

Reply<std::uint64_t> Doer::handle_call(const Do& m, State& s, Context& context) {
  s.push_back({m.publisher, m.number});
  const std::string id = context.id().id;
  ActionsWorkload* to = &workload;
  return Reply<std::uint64_t>(m.number)
      .then([to, id, m](const State& state) {
        to->acted(id, m, state);
        return ActionFlow::halt;
      })
      .then([to, id](const State&) { to->acted_behind_a_halt(id); });
}

Outcome Doer::handle_cast(const Do& m, State& s, Context& context) {
  s.push_back({m.publisher, m.number});
  const std::string id = context.id().id;
  ActionsWorkload* to = &workload;
  return Outcome().then([to, id, m](const State& state) { to->acted(id, m, state); });
}

}  // namespace

std::unique_ptr<Workload> make_actions(Simulation& simulation, const Scenario& scenario) {
  return make_workload<ActionsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
