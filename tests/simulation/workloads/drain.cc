// Casts that are accepted by a journal on a disk whose power goes, and drained into durable
// servers: each acknowledged one takes effect exactly once, those to one entity in order. Now and
// then the disk is put back to what it was once, as from a backup: what was accepted since may be
// gone, and nothing comes twice.
#include <algorithm>
#include <deque>

#include "disks.h"
#include "semper/journal_drain.h"
#include "semper/store/tuple_stream.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

struct Sink {
  using State = std::vector<Line>;
  struct Take {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
  };
  using Messages = semper::Messages<Take>;

  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Take& m, State& s, Context&) { s.push_back({m.publisher, m.number}); }
};

class DrainWorkload final : public Workload {
 public:
  DrainWorkload(Simulation& simulation, const Scenario& scenario) : simulation_(simulation) {
    for (std::size_t i = 0; i < scenario.count("clients"); ++i) {
      disks_.push_back(make_disk(simulation, ring::Format::semper_1));
      handles_.emplace_back();
      is_over_.push_back(false);
      copies_.emplace_back();
      sent_.emplace_back();
    }
  }

  void serve(Host& host, Process&) override { host.serve<Sink>(); }
  std::vector<std::string> types() const override { return {std::string(type_name<Sink>())}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || is_of_disks(kind) || kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    auto& disk = disks_[client.index()];
    while (!is_over_[client.index()]) {
      maybe_put_back(client);
      BlockDevice& device = handles_[client.index()].open(disk);
      ring::JournalOptions options;
      options.retry_interval = 200ms;
      options.ring.env = simulation_.env();
      options.ring.memory_bytes = std::size_t{512} << 10;
      const Store store = client.store();
      JournalDrain::OpenStore open = [store]() -> Async<Store> { co_return store; };
      auto drain = co_await client.operate("JournalDrain::start", "",
                                           JournalDrain::start(device, open, options));
      ++starts_;
      if (drain) co_await use(client, disk, *drain);
      if (!drain && drain.error().kind() == ErrorKind::not_found) {
        if (is_any_acknowledged(client)) simulation_.finding("a ring with casts in it is gone");
        static_cast<void>(co_await client.operate(
            "ring::create", "anew", make_anew(device, ring::Format::semper_1, simulation_.env())));
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Sink>(id);
      log_.judge(observer, "sink", id, delivered(state.value_or(Sink::State())));
    }
    co_await judge_rows(observer);
  }

 private:
  static constexpr std::size_t kRowsOfStart = 3;  // two, and one of a ring that it made

  // What tells a repetition grows with the starts, and not with what they sent or to how many.
  Task<void> judge_rows(Observer& observer) {
    Bytes logs(Tenant(observer.store()).prefix());
    TupleWriter(logs).add(std::int64_t{6});  // docs/formats.md
    Transaction transaction = observer.store().begin();
    const KeyRange all{logs + '\x00', logs + '\xff'};
    auto page = co_await transaction.get_range(all);
    if (!page) {
      observer.finding("reading the starts' rows: " + page.error().to_string());
    } else if (page->more || page->rows.size() > kRowsOfStart * starts_) {
      observer.finding(std::to_string(page->rows.size()) + " rows of " + std::to_string(starts_) +
                       " starts");
    }
  }

  MonotonicTime soon(Duration span) { return simulation_.clock().after(span); }

  bool is_any_acknowledged(const Client& client) const {
    return std::ranges::any_of(sent_[client.index()], [](const testing::Sent* sent) {
      return sent->fate == testing::Fate::done;
    });
  }

  // While nobody has a journal on it.
  void maybe_put_back(Client& client) {
    if (client.ends_soon() || !client.random().chance(0.3)) return;
    auto& disk = disks_[client.index()];
    auto& copy = copies_[client.index()];
    disk.power_cycle();  // what was on its way is not
    if (copy.empty()) {
      copy = disk.contents(0, disk.size());
      return;
    }
    simulation_.note(client.process().number(), EventKind::fault, "a disk is put back");
    disk.overwrite(0, copy);
    copy.clear();
    for (testing::Sent* sent : sent_[client.index()]) {
      if (sent->fate == testing::Fate::done) sent->fate = testing::Fate::open;
    }
  }

  Task<void> use(Client& client, testing::SimulatedDisk& disk, JournalDrain& drain) {
    std::optional<ring::Journal::Waiter> last;
    bool all = true;  // is pushed that shall be
    while (client.more()) {
      maybe_cut_power(client, disk);
      maybe_fail(client, disk);
      if (client.random().chance(0.05)) {
        all = false;
        break;
      }
      const std::string id = client.entity();
      auto& sent = log_.begin(client.index(), id);
      sent_[client.index()].push_back(&sent);
      const Sink::Take take{sent.publisher, sent.number};
      auto waiter = co_await client.operate("JournalDrain::cast", in_words(id, sent),
                                            drain.cast<Sink>(id, take, soon(3s)));
      sent.fate = fate_of_push(waiter);
      if (waiter) last = *waiter;
      if (last && client.random().chance(0.2)) {
        static_cast<void>(
            co_await client.operate("Waiter::sync", in_words(id, sent), last->sync(soon(1s))));
      }
      if (!drain.status()) {
        all = false;
        break;
      }
      co_await client.think();
    }
    if (all) {
      auto replayed =
          co_await client.operate("JournalDrain::replayed", "", drain.replayed(soon(10s)));
      all = replayed.has_value();
    }
    if (all && last) {
      auto synced = co_await client.operate("Waiter::sync", "the last", last->sync(soon(10s)));
      all = synced.has_value();
    }
    auto ended = co_await client.operate("JournalDrain::shutdown", "", drain.shutdown(soon(10s)));
    is_over_[client.index()] = all && ended;
  }

  Simulation& simulation_;
  std::size_t starts_ = 0;
  std::deque<testing::SimulatedDisk> disks_;
  std::deque<Handles> handles_;
  std::deque<bool> is_over_;
  std::deque<Bytes> copies_;                      // of disks, to be put back
  std::deque<std::vector<testing::Sent*>> sent_;  // by each client
  SentLog log_;
};

}  // namespace

std::unique_ptr<Workload> make_drain(Simulation& simulation, const Scenario& scenario) {
  return make_workload<DrainWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
