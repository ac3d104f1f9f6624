// Priority calls, priority casts and infos among queued messages: each takes effect once where its
// sender was told so, and not where it was refused.
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Board {
  using State = std::vector<Line>;
  struct Pin {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Pin>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Pin& m, State& s, Context&) { return pin(m, s); }
  void handle_cast(const Pin& m, State& s, Context&) { pin(m, s); }
  void handle_info(const Pin& m, State& s, Context&) { pin(m, s); }
  static std::uint64_t pin(const Pin& m, State& s) {
    s.push_back({m.publisher, m.number});
    return m.number;
  }
};

class PriorityWorkload final : public Workload {
 public:
  PriorityWorkload(Simulation&, const Scenario&) {}

  void serve(Host& host, Process&) override { host.serve<Board>(); }
  std::vector<std::string> types() const override { return {std::string(type_name<Board>())}; }
  // In a process without a host.
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::unsupported;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto board = semper::ref<Board>(client.store(), id);
      auto& sent = log_.begin(client.index(), id);
      const Board::Pin pin{sent.publisher, sent.number};
      const std::string words = in_words(id, sent);
      switch (client.random().below(5)) {
        case 0: {
          auto told = co_await client.operate("Ref::priority_call", words,
                                              board.priority_call(pin, patient()));
          sent.fate = fate_of_call(told);
          break;
        }
        case 1: {
          auto told =
              co_await client.operate("Ref::priority_cast", words, board.priority_cast(pin));
          sent.fate = fate_of_call(told);
          break;
        }
        case 2: {
          auto told = co_await client.operate("Ref::info", words, board.info(pin));
          sent.fate = fate_of_call(told);
          break;
        }
        case 3: {
          auto told = co_await client.operate("Ref::call", words, board.call(pin, patient()));
          sent.fate = fate_of_call(told);
          break;
        }
        default: {
          auto told = co_await client.operate("Ref::cast", words, board.cast(pin));
          sent.fate = fate_of_cast(told);
        }
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Board>(id);
      log_.judge(observer, "board", id, delivered(state.value_or(Board::State())),
                 testing::DeliveryOrder::none);
    }
  }

 private:
  SentLog log_;
};

}  // namespace

std::unique_ptr<Workload> make_priority(Simulation& simulation, const Scenario& scenario) {
  return make_workload<PriorityWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
