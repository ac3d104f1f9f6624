// Bridges that send again, with cast_once, what was not acknowledged: everything takes effect once,
// in order.
#include <map>

#include "semper/server/cast_once.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Inbox {
  using State = std::vector<Line>;
  struct Take {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
  };
  using Messages = semper::Messages<Take>;

  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Take& m, State& s, Context&) { s.push_back({m.publisher, m.number}); }
};

class OnceWorkload final : public Workload {
 public:
  OnceWorkload(Simulation&, const Scenario&) {}

  void serve(Host& host, Process&) override { host.serve<Inbox>(); }
  std::vector<std::string> types() const override { return {std::string(type_name<Inbox>())}; }

  Task<void> client(Client& client) override {
    auto& waiting = waiting_[client.index()];
    // What was not acknowledged is sent until it is, whatever happened to who sent it before.
    while (!waiting.empty() || client.more()) {
      if (waiting.empty()) fill(client, waiting);
      std::vector<OnceCast> casts;
      for (const auto& each : waiting) {
        const Inbox::Take take{each.sent->publisher, each.sent->number};
        OnceCast cast;
        cast.to = EntityId{std::string(type_name<Inbox>()), each.to};
        cast.message = RawMessage{std::string(short_type_name<Inbox::Take>()), encode(take)};
        cast.sequence = each.sent->number;
        casts.push_back(std::move(cast));
      }
      const std::string source = "bridge " + std::to_string(client.index());
      auto told =
          co_await client.operate("cast_once", in_words(waiting.front().to, *waiting.front().sent),
                                  cast_once(Tenant(client.store()), source, std::move(casts)));
      if (told) {
        for (auto& each : waiting) each.sent->fate = Fate::done;
        waiting.clear();
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Inbox>(id);
      log_.judge(observer, "inbox", id, delivered(state.value_or(Inbox::State())));
    }
  }

 private:
  struct Waiting {
    std::string to;
    testing::Sent* sent = nullptr;
  };

  void fill(Client& client, std::vector<Waiting>& waiting) {
    for (auto left = 1 + client.random().below(5); left > 0; --left) {
      const std::string id = client.entity();
      waiting.push_back({id, &log_.begin(client.index(), id)});
    }
  }

  SentLog log_;
  std::map<std::size_t, std::vector<Waiting>> waiting_;  // by client
};

}  // namespace

std::unique_ptr<Workload> make_once(Simulation& simulation, const Scenario& scenario) {
  return make_workload<OnceWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
