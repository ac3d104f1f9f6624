// A fleet of two programs: each host is the one or the other at random whenever it begins, but the
// first, which is always the newer. A message of the newer one waits for a host that knows it, a
// state of the newer one is neither read nor written by the older, and nothing is lost, doubled or
// overtaken.
#include "sent_log.h"
#include "simulation.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

constexpr std::string_view kType = "versions.Log";

struct Take {
  static constexpr std::string_view kName = "Take";
  std::uint64_t publisher = 0;
  std::uint64_t number = 0;
  using Reply = std::uint64_t;
};
// Which the newer program alone knows.
struct Accept {
  static constexpr std::string_view kName = "Accept";
  std::uint64_t publisher = 0;
  std::uint64_t number = 0;
  using Reply = std::uint64_t;
};

// What both write has the same form, and means something else: whoever reads the other's does not
// notice.
constexpr std::uint64_t kShift = 1'000'000;

struct Older {
  static constexpr std::string_view kName = kType;
  using State = std::vector<Line>;
  using Messages = semper::Messages<Take>;
  Result<State> init(const EntityId&) { return State(); }
  static void take(const Take& m, State& s) { s.push_back({m.publisher, m.number}); }
  Reply<std::uint64_t> handle_call(const Take& m, State& s, Context&) {
    take(m, s);
    return m.number;
  }
  void handle_cast(const Take& m, State& s, Context&) { take(m, s); }
};

struct Newer {
  static constexpr std::string_view kName = kType;
  static constexpr int kStateVersion = 2;
  using State = std::vector<Line>;
  using Messages = semper::Messages<Take, Accept>;
  Result<State> init(const EntityId&) { return State(); }
  Result<State> upgrade(int, BytesView old) {
    SEMPER_TRY(State state, decode<State>(old));
    for (auto& line : state) line.number += kShift;
    return state;
  }
  template <class M>
  static void take(const M& m, State& s) {
    s.push_back({m.publisher, m.number + kShift});
  }
  Reply<std::uint64_t> handle_call(const Take& m, State& s, Context&) {
    take(m, s);
    return m.number;
  }
  void handle_cast(const Take& m, State& s, Context&) { take(m, s); }
  Reply<std::uint64_t> handle_call(const Accept& m, State& s, Context&) {
    take(m, s);
    return m.number;
  }
  void handle_cast(const Accept& m, State& s, Context&) { take(m, s); }
};

class VersionsWorkload final : public Workload {
 public:
  VersionsWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process& process) override {
    if (!newest_) newest_ = process.number();
    const bool is_newer = *newest_ == process.number() || simulation_.random().below(2) == 0;
    simulation_.note(process.number(), EventKind::life, is_newer ? "is newer" : "is older");
    if (is_newer) {
      host.serve<Newer>();
    } else {
      host.serve<Older>();
    }
  }
  std::vector<std::string> types() const override { return {std::string(kType)}; }
  // Of a process whose host is older than the state, or than the message.
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::unsupported;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto& sent = log_.begin(client.index(), id);
      const bool is_new = client.random().below(4) == 0;
      const bool is_call = client.random().below(4) == 0;
      const std::string words = in_words(id, sent) + (is_new ? ", a new one" : "");
      const RawRef entity(Tenant(client.store()), EntityId{std::string(kType), id});
      const Take take{sent.publisher, sent.number};
      const RawMessage message{is_new ? "Accept" : "Take", encode(take)};
      if (is_call) {
        const auto told =
            co_await client.operate("Ref::call", words, entity.call(message, patient()));
        sent.fate = fate_of_call(told);
      } else {
        std::vector<RawMessage> one;
        one.push_back(message);
        const auto told = co_await client.operate("Ref::cast", words, entity.cast(std::move(one)));
        sent.fate = fate_of_cast(told);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      const EntityId entity{std::string(kType), id};
      const Tenant tenant(observer.store());
      const auto view = co_await inspect(tenant, entity);
      if (!view && view.error().kind() != ErrorKind::not_found) {
        observer.finding("inspect " + id + ": " + view.error().to_string());
      }
      std::vector<Line> lines;
      if (view && view->state) lines = decode<Newer::State>(*view->state).value_or(lines);
      const bool is_newer = view && view->state_version == Newer::kStateVersion;
      for (auto& line : lines) line.number -= is_newer ? kShift : 0;
      log_.judge(observer, "log", id, delivered(lines));
      const auto letters = co_await list_dead_letters(tenant, entity);
      for (const auto& letter : letters.value_or(std::vector<DeadLetterView>())) {
        observer.finding(id + ": " + letter.message.name + " was set aside: " + letter.reason);
      }
    }
  }

 private:
  Simulation& simulation_;
  SentLog log_;
  std::optional<std::size_t> newest_;
};

}  // namespace

std::unique_ptr<Workload> make_versions(Simulation& simulation, const Scenario& scenario) {
  return make_workload<VersionsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
