// Messages that fail until the program is mended: set aside, redriven, and then there once; their
// neighbours never notice.
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Fussy {
  using State = std::vector<Line>;
  struct Eat {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    bool is_bad = false;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Eat>;

  explicit Fussy(const bool& mended) : is_mended(mended) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Eat& m, State& s, Context&) {
    take(m, s);
    return m.number;
  }
  void handle_cast(const Eat& m, State& s, Context&) { take(m, s); }
  void take(const Eat& m, State& s) const {
    s.push_back({m.publisher, m.number});
    if (m.is_bad && !is_mended) throw std::runtime_error("not yet mended");
  }

  const bool& is_mended;
};

class DeadLettersWorkload final : public Workload {
 public:
  DeadLettersWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Fussy>(is_mended_)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Fussy>())}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::internal;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto fussy = semper::ref<Fussy>(client.store(), id);
      auto& sent = log_.begin(client.index(), id);
      const Fussy::Eat eat{sent.publisher, sent.number, client.random().chance(0.3)};
      const std::string words = in_words(id, sent) + (eat.is_bad ? ", bad" : "");
      if (client.random().chance(0.4)) {
        auto told = co_await client.operate("Ref::call", words, fussy.call(eat, patient()));
        sent.fate = fate_of_call(told);
        // Its caller was told, and it may lie among the dead letters all the same.
        if (eat.is_bad && !told) sent.fate = Fate::open;
        if (eat.is_bad && told) simulation_.finding("a bad message was answered: " + words);
        if (!eat.is_bad && !told && told.error().kind() == ErrorKind::internal) {
          simulation_.finding("a good message failed: " + words + ": " + told.error().to_string());
        }
      } else {
        auto told = co_await client.operate("Ref::cast", words, fussy.cast(eat));
        sent.fate = fate_of_cast(told);
      }
      co_await client.think();
    }
  }

  Task<void> settle(Observer& observer) override {
    is_mended_ = true;
    for (const auto& id : log_.entities()) {
      const EntityId entity{std::string(type_name<Fussy>()), id};
      while (true) {
        simulation_.surface().drawn("redrive_dead_letters");
        const auto redriven = co_await redrive_dead_letters(Tenant(observer.store()), entity, 7);
        if (!redriven && redriven.error().kind() != ErrorKind::not_found) {
          observer.finding("redriving " + id + ": " + redriven.error().to_string());
        }
        if (!redriven || *redriven == 0) break;
      }
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Fussy>(id);
      // Not in order: what failed comes last.
      log_.judge(observer, "fussy", id, delivered(state.value_or(Fussy::State())),
                 testing::DeliveryOrder::none);
    }
  }

 private:
  Simulation& simulation_;
  SentLog log_;
  bool is_mended_ = false;
};

}  // namespace

std::unique_ptr<Workload> make_dead_letters(Simulation& simulation, const Scenario& scenario) {
  return make_workload<DeadLettersWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
