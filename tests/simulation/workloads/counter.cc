// Counters that are added to and read by calls, casts and inline calls: linearizable, each of them.
#include <deque>
#include <map>

#include "checkers/linearizable.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using testing::Operation;

struct Tally {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Read>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
  void handle_cast(const Add&, State& s, Context&) { ++s; }
};

class CounterWorkload final : public Workload {
 public:
  CounterWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override { host.serve<Tally>(); }
  std::vector<std::string> types() const override { return {std::string(type_name<Tally>())}; }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto tally = semper::ref<Tally>(client.store(), id);
      Operation& made = begin(id);
      const auto kind = client.random().below(10);
      if (kind < 4) {
        auto told = co_await client.operate("Ref::call", "add to " + id,
                                            tally.call(Tally::Add{}, patient()));
        answer(made, fate_of_call(told), told ? *told : 0);
      } else if (kind < 7) {
        made.kind = Operation::Kind::read;
        auto told = co_await client.operate("Ref::call", "read " + id,
                                            tally.call(Tally::Read{}, patient()));
        answer(made, fate_of_call(told), told ? *told : 0);
      } else {
        auto told = co_await client.operate("Ref::cast", "add to " + id, tally.cast(Tally::Add{}));
        // Its place among the adds is nobody's to know; that it has one is.
        if (told) ++acknowledged_casts_[id];
        if (fate_of_cast(told) == Fate::refused) answer(made, Fate::refused, 0);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (auto& [id, operations] : operations_) {
      auto state = co_await observer.state<Tally>(id);
      const std::int64_t final_value = state.value_or(0);
      Operation& last = begin(id);
      last.kind = Operation::Kind::read;
      answer(last, Fate::done, final_value);
      const std::vector<Operation> history(operations.begin(), operations.end());
      const auto verdict = testing::judge_counter("counter " + id, history);
      for (const auto& wrong : verdict.wrong) observer.finding(wrong);
      if (verdict.open_applied < acknowledged_casts_[id]) {
        observer.finding("counter " + id + ": " + std::to_string(acknowledged_casts_[id]) +
                         " casts were acknowledged, and there is room for " +
                         std::to_string(verdict.open_applied));
      }
    }
  }

 private:
  // Where it is: operations are kept by address.
  Operation& begin(const std::string& id) {
    Operation& made = operations_[id].emplace_back();
    made.counter = id;
    made.invoked_ns = simulation_.moment();
    return made;
  }
  void answer(Operation& operation, Fate fate, std::int64_t value) {
    if (fate == Fate::open) return;
    operation.outcome = fate == Fate::done ? Operation::Outcome::done : Operation::Outcome::refused;
    operation.value = value;
    operation.returned_ns = simulation_.moment();
  }

  Simulation& simulation_;
  std::map<std::string, std::deque<Operation>> operations_;
  std::map<std::string, std::uint64_t> acknowledged_casts_;
};

}  // namespace

std::unique_ptr<Workload> make_counter(Simulation& simulation, const Scenario& scenario) {
  return make_workload<CounterWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
