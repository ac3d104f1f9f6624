// Entities that are killed, reset and stopped among messages: what was sent before a kill is gone,
// what was sent after it is there.
#include "checkers/lives.h"

#include <deque>
#include <map>

#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Mortal {
  using State = std::vector<std::uint64_t>;
  struct Add {
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  struct Rest {
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Add, Rest>;

  explicit Mortal(Surface& used) : surface(used) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Add& m, State& s, Context&) {
    s.push_back(m.number);
    return m.number;
  }
  void handle_cast(const Add& m, State& s, Context&) { s.push_back(m.number); }
  Reply<std::uint64_t> handle_call(const Rest&, State& s, Context&) {
    return Reply<std::uint64_t>(s.size()).stop("rest");
  }
  void terminate(const State&, const std::string&) { surface.drawn("Reply::stop"); }

  Surface& surface;
};

class LivesWorkload final : public Workload {
 public:
  LivesWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Mortal>(simulation_.surface()));
  }
  std::vector<std::string> types() const override { return {std::string(type_name<Mortal>())}; }
  // There was nothing to kill.
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto mortal = semper::ref<Mortal>(client.store(), id);
      const auto kind = client.random().below(12);
      if (kind == 0 || kind == 1) {
        auto& end = ends_[id].emplace_back();
        end.is_kill = kind == 0;
        end.invoked = simulation_.moment();
        // Not with ?:, which g++ 12 gets wrong around co_await.
        Status told;
        if (end.is_kill) {
          told = co_await client.operate("Ref::kill", id, mortal.kill());
        } else {
          told = co_await client.operate("Ref::reset", id, mortal.reset());
        }
        if (told) {
          end.fate = Fate::done;
          end.returned = simulation_.moment();
        } else if (told.error().kind() == ErrorKind::not_found) {
          end.fate = Fate::refused;
        }
      } else if (kind == 2) {
        static_cast<void>(co_await client.operate("Ref::call", "rest, " + id,
                                                  mortal.call(Mortal::Rest{}, patient())));
      } else {
        co_await add(client, id, mortal, kind < 7);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& [id, messages] : messages_) {
      auto state = co_await observer.state<Mortal>(id);
      const std::vector<testing::LifeMessage> sent(messages.begin(), messages.end());
      const std::vector<testing::LifeEnd> ends(ends_[id].begin(), ends_[id].end());
      const auto left = state.value_or(Mortal::State());
      for (const auto& wrong : testing::judge_lives("mortal " + id, sent, ends, left)) {
        observer.finding(wrong);
      }
    }
  }

 private:
  Task<void> add(Client& client, const std::string& id, const Ref<Mortal>& mortal, bool is_call) {
    auto& message = messages_[id].emplace_back();
    message.number = ++last_;
    message.is_call = is_call;
    message.invoked = simulation_.moment();
    const Mortal::Add add{message.number};
    const std::string words = "add " + std::to_string(add.number) + " to " + id;
    if (is_call) {
      auto told = co_await client.operate("Ref::call", words, mortal.call(add, patient()));
      message.fate = fate_of_call(told);
    } else {
      auto told = co_await client.operate("Ref::cast", words, mortal.cast(add));
      message.fate = fate_of_cast(told);
    }
    if (message.fate == Fate::done) message.returned = simulation_.moment();
  }

  Simulation& simulation_;
  std::map<std::string, std::deque<testing::LifeMessage>> messages_;
  std::map<std::string, std::deque<testing::LifeEnd>> ends_;
  std::uint64_t last_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_lives(Simulation& simulation, const Scenario& scenario) {
  return make_workload<LivesWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
