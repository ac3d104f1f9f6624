// Work under the lock, blocking and awaiting, shown to an outside system that knows fencing tokens:
// each message once, one holder at a time, no late result.
#include <map>
#include <set>

#include "checkers/fencing.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

class LocksWorkload;

struct Vault {
  struct Entry {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::uint64_t token = 0;  // 0: without the lock
  };
  using State = std::vector<Entry>;
  struct Work {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::uint64_t steps = 0;  // of 50 ms
    bool breaks = false;      // at its first run
    using Reply = std::uint64_t;
  };
  // The same without awaiting anything.
  struct QuickWork {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  struct Note {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  struct Count {
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Work, QuickWork, Note, Count>;

  explicit Vault(LocksWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Work&, State&, Context&) { return lock(); }
  Outcome handle_cast(const Work&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_call(const QuickWork&, State&, Context&) { return lock(); }
  Outcome handle_cast(const QuickWork&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    s.push_back({m.publisher, m.number, 0});
    return m.number;
  }
  Reply<std::uint64_t> handle_call(const Count&, State& s, Context&) { return s.size(); }

  Task<Reply<std::uint64_t>> handle_locked(const Work& m, State& s, LockedContext& context);
  Reply<std::uint64_t> handle_locked(const QuickWork& m, State& s, LockedContext& context);

  LocksWorkload& workload;
};

class LocksWorkload final : public Workload {
 public:
  LocksWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Vault>(*this)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Vault>())}; }
  // Nobody holds the lock that is to be taken away; no host to look in this process.
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::not_found ||
           kind == ErrorKind::unsupported;
  }

  // The outside system: refuses tokens that are smaller than what it has seen.
  void show(const std::string& id, std::uint64_t token, std::uint64_t message) {
    simulation_.surface().drawn("LockedContext::fencing_token");
    auto& highest = highest_[id];
    shown_[id].push_back({token, message, token >= highest});
    highest = std::max(highest, token);
  }
  bool is_first_run(std::uint64_t message) { return runs_.insert(message).second; }
  Surface& surface() { return simulation_.surface(); }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto vault = semper::ref<Vault>(client.store(), id);
      const auto kind = client.random().below(10);
      if (kind == 0) {
        static_cast<void>(co_await client.operate("Ref::unlock", id, vault.unlock()));
      } else if (kind == 1) {
        static_cast<void>(co_await client.operate("Ref::priority_call", "count in " + id,
                                                  vault.priority_call(Vault::Count{}, patient())));
      } else {
        co_await send(client, id, vault, kind);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Vault>(id);
      std::vector<testing::Delivered> delivered;
      std::vector<testing::WrittenResult> written;
      for (const auto& entry : state.value_or(Vault::State())) {
        delivered.push_back({entry.publisher, entry.number});
        if (entry.token > 0) written.push_back({entry.token, key(entry.publisher, entry.number)});
      }
      log_.judge(observer, "vault", id, delivered);
      for (const auto& wrong : testing::judge_fencing("vault " + id, shown_[id], written)) {
        observer.finding(wrong);
      }
    }
  }

  static std::uint64_t key(std::uint64_t publisher, std::uint64_t number) {
    return publisher * 1'000'000 + number;
  }

 private:
  Task<void> send(Client& client, const std::string& id, const Ref<Vault>& vault,
                  std::uint64_t kind) {
    auto& sent = log_.begin(client.index(), id);
    const std::string words = in_words(id, sent);
    const Vault::Work work{sent.publisher, sent.number, client.random().below(40),
                           client.random().chance(0.1)};
    const Vault::QuickWork quick{sent.publisher, sent.number};
    const Vault::Note note{sent.publisher, sent.number};
    if (kind < 4) {
      auto told = co_await client.operate("Ref::call", words, vault.call(work, patient()));
      sent.fate = fate_of_call(told);
    } else if (kind < 6) {
      auto told = co_await client.operate("Ref::cast", words, vault.cast(work));
      sent.fate = fate_of_cast(told);
    } else if (kind < 7) {
      auto told = co_await client.operate("Ref::call", words, vault.call(quick, patient()));
      sent.fate = fate_of_call(told);
    } else if (kind < 8) {
      auto told = co_await client.operate("Ref::cast", words, vault.cast(quick));
      sent.fate = fate_of_cast(told);
    } else {
      auto told = co_await client.operate("Ref::call", words, vault.call(note, patient()));
      sent.fate = fate_of_call(told);
    }
  }

  Simulation& simulation_;
  SentLog log_;
  std::map<std::string, std::uint64_t> highest_;
  std::map<std::string, std::vector<testing::ShownToken>> shown_;
  std::set<std::uint64_t> runs_;
};

Task<Reply<std::uint64_t>> Vault::handle_locked(const Work& m, State& s, LockedContext& context) {
  const auto key = LocksWorkload::key(m.publisher, m.number);
  workload.show(context.id().id, context.fencing_token(), key);
  if (m.breaks && workload.is_first_run(key)) throw std::runtime_error("broken at its first run");
  for (std::uint64_t step = 0; step < m.steps; ++step) {
    workload.surface().drawn("LockedContext::lost");
    if (context.lost().stop_requested()) break;
    static_cast<void>(co_await sleep_for(context.clock(), std::chrono::milliseconds(50)));
  }
  s.push_back({m.publisher, m.number, context.fencing_token()});
  co_return m.number;
}

Reply<std::uint64_t> Vault::handle_locked(const QuickWork& m, State& s, LockedContext& context) {
  workload.show(context.id().id, context.fencing_token(),
                LocksWorkload::key(m.publisher, m.number));
  s.push_back({m.publisher, m.number, context.fencing_token()});
  return m.number;
}

}  // namespace

std::unique_ptr<Workload> make_locks(Simulation& simulation, const Scenario& scenario) {
  return make_workload<LocksWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
