// Messages that send messages: to others and to themselves, as trees. Each tree is there as a
// whole, each part of it once, or not at all.
#include <map>

#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Relay {
  struct State {
    std::vector<Line> seen;    // the tree, and the place in it
    std::vector<Line> echoes;  // the same, as sent to itself
  };
  struct Grow {
    std::uint64_t tree = 0;
    std::uint64_t place = 0;
    std::uint64_t places = 0;    // of the whole tree
    std::uint64_t entities = 1;  // that there are
    using Reply = std::uint64_t;
  };
  struct Echo {
    std::uint64_t tree = 0;
    std::uint64_t place = 0;
  };
  using Messages = semper::Messages<Grow, Echo>;

  explicit Relay(Surface& used) : surface(used) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Grow& m, State& s, Context& context) {
    grow(m, s, context);
    return m.places;
  }
  void handle_cast(const Grow& m, State& s, Context& context) { grow(m, s, context); }
  void handle_cast(const Echo& m, State& s, Context&) { s.echoes.push_back({m.tree, m.place}); }

  void grow(const Grow& m, State& s, Context& context) {
    s.seen.push_back({m.tree, m.place});
    surface.drawn("Context::cast");
    context.cast(semper::ref<Relay>(context.tenant(), context.id().id), Echo{m.tree, m.place});
    for (const std::uint64_t child : {2 * m.place + 1, 2 * m.place + 2}) {
      if (child >= m.places) continue;
      // One of them stays here.
      const std::string to =
          child % 2 == 0 ? context.id().id : std::to_string((m.tree + child) % m.entities);
      context.cast(semper::ref<Relay>(context.tenant(), to),
                   Grow{m.tree, child, m.places, m.entities});
    }
  }

  Surface& surface;
};

class ChainWorkload final : public Workload {
 public:
  ChainWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Relay>(simulation_.surface()));
  }
  std::vector<std::string> types() const override { return {std::string(type_name<Relay>())}; }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto relay = semper::ref<Relay>(client.store(), id);
      const std::uint64_t number = ++last_;
      const Relay::Grow seed{number, 0, 1 + client.random().below(12), scenario_.count("entities")};
      auto& tree = trees_[number];
      tree.places = seed.places;
      const std::string words = "tree " + std::to_string(number) + " in " + id;
      if (client.random().chance(0.5)) {
        auto told = co_await client.operate("Ref::call", words, relay.call(seed, patient()));
        tree.fate = fate_of_call(told);
      } else {
        auto told = co_await client.operate("Ref::cast", words, relay.cast(seed));
        tree.fate = fate_of_cast(told);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    Relay::State all;
    for (std::size_t i = 0; i < scenario_.count("entities"); ++i) {
      auto state = co_await observer.state<Relay>(std::to_string(i));
      if (!state) continue;
      all.seen.insert(all.seen.end(), state->seen.begin(), state->seen.end());
      all.echoes.insert(all.echoes.end(), state->echoes.begin(), state->echoes.end());
    }
    judge_all(observer, "trees", all.seen);
    judge_all(observer, "echoes", all.echoes);
  }

 private:
  struct Tree {
    std::uint64_t places = 0;
    Fate fate = Fate::open;
  };

  void judge_all(Observer& observer, const std::string& what, const std::vector<Line>& lines) {
    std::map<std::uint64_t, std::uint64_t> found;  // places, by tree
    for (const auto& line : lines) ++found[line.publisher];
    std::vector<testing::Sent> sent;
    for (const auto& [number, tree] : trees_) {
      // Without an answer: it is there as a whole, or not at all.
      Fate fate = tree.fate;
      if (fate == Fate::open) fate = found.contains(number) ? Fate::done : Fate::refused;
      for (std::uint64_t place = 0; place < tree.places; ++place) {
        sent.push_back({number, place, fate, 0});
      }
    }
    for (const auto& wrong :
         testing::judge_deliveries(what, sent, delivered(lines), testing::DeliveryOrder::none)) {
      observer.finding(wrong);
    }
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  std::map<std::uint64_t, Tree> trees_;
  std::uint64_t last_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_chain(Simulation& simulation, const Scenario& scenario) {
  return make_workload<ChainWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
