// Diaries that are written by calls, casts and batches: each message once, in the order of its publisher,
// batches as a whole.
#include <deque>
#include <map>

#include "checkers/deliveries.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Diary {
  struct Line {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
  };
  using State = std::vector<Line>;
  struct Note {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Note>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    s.push_back({m.publisher, m.number});
    return m.number;
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back({m.publisher, m.number}); }
};

class OrderWorkload final : public Workload {
 public:
  OrderWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override { host.serve<Diary>(); }
  std::vector<std::string> types() const override { return {std::string(type_name<Diary>())}; }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto diary = semper::ref<Diary>(client.store(), id);
      const auto kind = client.random().below(3);
      if (kind == 0) {
        auto& sent = send(client, id, 0);
        const Diary::Note note{sent.publisher, sent.number};
        auto told =
            co_await client.operate("Ref::call", words(id, sent), diary.call(note, patient()));
        sent.fate = fate_of_call(told);
        if (told && *told != sent.number) {
          simulation_.finding("diary " + id + ": got the reply of number " + std::to_string(*told) +
                              " to number " + std::to_string(sent.number));
        }
      } else if (kind == 1) {
        auto& sent = send(client, id, 0);
        const Diary::Note note{sent.publisher, sent.number};
        auto told = co_await client.operate("Ref::cast", words(id, sent), diary.cast(note));
        sent.fate = fate_of_cast(told);
      } else {
        co_await send_batch(client, id, diary);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& [id, messages] : sent_) {
      auto state = co_await observer.state<Diary>(id);
      std::vector<testing::Delivered> delivered;
      if (state) {
        for (const auto& line : *state) delivered.push_back({line.publisher, line.number});
      }
      const std::vector<testing::Sent> sent(messages.begin(), messages.end());
      for (const auto& wrong : testing::judge_deliveries("diary " + id, sent, delivered)) {
        observer.finding(wrong);
      }
    }
  }

 private:
  Task<void> send_batch(Client& client, const std::string& id, const Ref<Diary>& diary) {
    const std::uint64_t batch = ++batches_;
    auto notes = Batch<Diary>();
    std::vector<testing::Sent*> sent;
    for (auto left = 2 + client.random().below(4); left > 0; --left) {
      sent.push_back(&send(client, id, batch));
      notes.add(Diary::Note{sent.back()->publisher, sent.back()->number});
    }
    auto told = co_await client.operate("Ref::cast(Batch)", words(id, *sent.front()),
                                        diary.cast(std::move(notes)));
    for (auto* each : sent) each->fate = fate_of_cast(told);
  }

  testing::Sent& send(Client& client, const std::string& id, std::uint64_t batch) {
    auto& sent = sent_[id].emplace_back();
    sent.publisher = client.index();
    sent.number = ++numbers_[client.index()];
    sent.batch = batch;
    return sent;
  }
  static std::string words(const std::string& id, const testing::Sent& sent) {
    return "note " + std::to_string(sent.number) + " in " + id;
  }

  Simulation& simulation_;
  std::map<std::string, std::deque<testing::Sent>> sent_;  // by entity; by address
  std::map<std::size_t, std::uint64_t> numbers_;           // by client
  std::uint64_t batches_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_order(Simulation& simulation, const Scenario& scenario) {
  return make_workload<OrderWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
