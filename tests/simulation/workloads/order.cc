// Diaries that are written by calls, casts and batches: each message once, in the order of its
// publisher, batches as a whole.
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

struct Diary {
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
      const auto kind = client.random().below(4);
      if (kind == 0) {
        auto& sent = log_.begin(client.index(), id);
        const Diary::Note note{sent.publisher, sent.number};
        auto told =
            co_await client.operate("Ref::call", in_words(id, sent), diary.call(note, patient()));
        sent.fate = fate_of_call(told);
        if (told && *told != sent.number) {
          simulation_.finding("diary " + id + ": got the reply of number " + std::to_string(*told) +
                              " to number " + std::to_string(sent.number));
        }
      } else if (kind == 1) {
        auto& sent = log_.begin(client.index(), id);
        const Diary::Note note{sent.publisher, sent.number};
        auto told = co_await client.operate("Ref::cast", in_words(id, sent), diary.cast(note));
        sent.fate = fate_of_cast(told);
      } else if (kind == 2) {
        co_await send_batch(client, id, diary);
      } else {
        static_cast<void>(
            co_await client.operate("Ref::queue_length", "of " + id, diary.queue_length()));
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Diary>(id);
      log_.judge(observer, "diary", id, delivered(state.value_or(Diary::State())));
    }
  }

 private:
  Task<void> send_batch(Client& client, const std::string& id, const Ref<Diary>& diary) {
    const std::uint64_t batch = ++batches_;
    auto notes = Batch<Diary>();
    std::vector<testing::Sent*> sent;
    for (auto left = 2 + client.random().below(4); left > 0; --left) {
      sent.push_back(&log_.begin(client.index(), id, batch));
      notes.add(Diary::Note{sent.back()->publisher, sent.back()->number});
    }
    auto told = co_await client.operate("Ref::cast(Batch)", in_words(id, *sent.front()),
                                        diary.cast(std::move(notes)));
    for (auto* each : sent) each->fate = fate_of_cast(told);
  }

  Simulation& simulation_;
  SentLog log_;
  std::uint64_t batches_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_order(Simulation& simulation, const Scenario& scenario) {
  return make_workload<OrderWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
