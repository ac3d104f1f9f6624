// A drain into a store on the same disk, and who judges that store, whoever filled it: the
// publishers of the crash tests, or the drain. What they were told is in the journals of the crash
// tests.
#include <atomic>
#include <memory>

#include "crash/journal.h"
#include "crash/ledger.h"
#include "crash/verdict.h"
#include "crash/workers.h"
#include "device.h"
#include "semper/env/one_shot.h"
#include "semper/journal_drain.h"
#include "semper/semper.h"
#include "semper/testing/child_process.h"

namespace semper::testing {
namespace {

constexpr int kDrainLanes = 3;
constexpr auto kQuietLimit = std::chrono::seconds(40);

std::string drain_notes(const RoleOptions& options) {
  return options.notes + "/drain";
}
std::string journals(const RoleOptions& options) {
  return options.notes + "/journals";
}

std::string ledger_id(std::uint64_t number) {
  return std::string(kLedgerPrefix) + "-" + std::to_string(number);
}

JournalDrain::OpenStore opener(const RoleOptions& options) {
  return [url = store_url(options.disk)] { return open_store(url); };
}

Result<ring::JournalOptions> drain_options(const RoleOptions& options) {
  ring::JournalOptions chosen;
  SEMPER_TRY(chosen.format, ring::format_from(options.format));
  chosen.retry_interval = std::chrono::milliseconds(2);
  chosen.ring = attach_options(options);
  return chosen;
}

Async<void> post_for_ever(JournalDrain& drain, std::string name, std::uint64_t seed,
                          JournalWriter& journal) {
  SeededRandom random(seed);
  std::uint64_t last[kLedgers] = {};
  while (true) {
    const auto ledger = random.below(kLedgers);
    const std::string id = ledger_id(ledger);
    const Ledger::Post post{name, ++last[ledger], random.chance(0.2) ? kTotalLedger : ""};
    journal.write({{Step::Kind::intent, id, name, post.number, 0}});
    auto written = co_await drain.cast<Ledger>(id, post);
    if (!written) co_return fail(written.error());
    journal.write({{Step::Kind::cast_done, id, name, post.number, 0}});
  }
}

Async<void> keep_drain(BlockDevice& device, const RoleOptions& options, Notes& notes,
                       std::uint64_t session) {
  SEMPER_CO_TRY(const ring::JournalOptions how, drain_options(options));
  const auto open = opener(options);
  SEMPER_CO_TRY(JournalDrain drain, co_await JournalDrain::start(device, open, how));
  notes.write('K', {session});
  const std::string name = "drain" + std::to_string(session);
  JournalWriter journal(journals(options) + "/" + name);
  std::vector<OneShot<Status>> ends(kDrainLanes);
  const auto executor = co_await asio::this_coro::executor;
  for (std::size_t lane = 0; lane < kDrainLanes; ++lane) {
    auto work =
        post_for_ever(drain, name + "." + std::to_string(lane), options.seed + lane, journal);
    asio::co_spawn(executor, std::move(work),
                   [end = ends[lane]](std::exception_ptr, Status status) mutable {
                     end.set(std::move(status));
                   });
  }
  Status first;
  for (auto& end : ends) {
    SEMPER_CO_TRY(Status status, co_await end.wait());
    if (!status) first = std::move(status);
  }
  co_return first;
}

}  // namespace

int run_drain(const RoleOptions& options) {
  Notes notes(drain_notes(options));
  for (int attempt = 0; attempt < kFaultAttempts; ++attempt) {
    const auto before = read_notes(drain_notes(options));
    auto device = open_or_make_file(options, notes, before);
    Scheduler scheduler;
    Status status = device ? Status{} : fail(device.error());
    if (status) {
      status = when_the_dead_let_go([&] {
        return scheduler.block_on(keep_drain(**device, options, notes, highest(before, "K") + 1));
      });
    }
    if (!options.faults || status.error().kind() != ErrorKind::io) {
      return report_error(options, status.error().to_string());
    }
  }
  return report_error(options, "the flushes do not stop failing");
}

namespace {

class StoreJudge {
 public:
  explicit StoreJudge(const RoleOptions& options) : options_(options) {}

  Status run() {
    if (options_.role == "drain-judge") {
      SEMPER_TRY_STATUS(drain_what_is_left());
    }
    SEMPER_TRY(store_, scheduler_.block_on(open_store(store_url(options_.disk))));
    {
      Host host(*store_, crash_host_options("judge"));
      host.serve<Ledger>();
      SEMPER_TRY_STATUS(scheduler_.block_on(host.start()));
      if (!wait_until([&] { return is_quiet(); }, kQuietLimit)) {
        say_wrong("messages wait and are not processed");
      }
      SEMPER_TRY_STATUS(scheduler_.block_on(host.stop()));
    }
    SEMPER_TRY_STATUS(compare());
    SEMPER_TRY(const std::string found, scheduler_.block_on(store_->backend().check()));
    return scheduler_.block_on(store_->close());
  }

  std::size_t acknowledged() const { return acknowledged_; }

 private:
  // The ring is there once it was acknowledged.
  Status drain_what_is_left() {
    if (!has_note(read_notes(drain_notes(options_)), 'K')) return {};
    SEMPER_TRY(auto device, open_ring_file(options_));
    SEMPER_TRY(const ring::JournalOptions how, drain_options(options_));
    return when_the_dead_let_go(
        [&] { return scheduler_.block_on(drain(*device, opener(options_), how)); });
  }
  static Async<void> drain(BlockDevice& device, JournalDrain::OpenStore open,
                           ring::JournalOptions how) {
    SEMPER_CO_TRY(JournalDrain drain, co_await JournalDrain::start(device, open, how));
    SEMPER_CO_TRY_STATUS(co_await drain.replayed());
    co_return co_await drain.shutdown();
  }

  Result<EntityView> view(const std::string& id) {
    auto found = scheduler_.block_on(inspect(*store_, EntityId{"ledger", id}));
    if (!found && found.error().kind() == ErrorKind::not_found) return EntityView{};
    return found;
  }

  // Along the way that messages take; see the crash tests.
  bool is_quiet() {
    for (const auto& id : all_ids()) {
      const auto found = view(id);
      if (!found || found->queue_length > 0) return false;
    }
    return true;
  }

  static std::vector<std::string> all_ids() {
    std::vector<std::string> ids;
    for (int i = 0; i < kLedgers; ++i) ids.push_back(ledger_id(static_cast<std::uint64_t>(i)));
    ids.push_back(kTotalLedger);
    return ids;
  }

  Status compare() {
    std::map<std::string, Ledger::State> ledgers;
    for (const auto& id : all_ids()) {
      SEMPER_TRY(const EntityView found, view(id));
      if (found.dead_letters > 0) say_wrong(id + " has dead letters");
      if (found.parked) say_wrong(id + " is parked: " + *found.parked);
      if (found.lock) say_wrong(id + " is locked");
      if (!found.state) continue;
      SEMPER_TRY(ledgers[id], decode<Ledger::State>(*found.state));
    }
    const Ledger::State total = ledgers[kTotalLedger];
    ledgers.erase(kTotalLedger);
    const Verdict verdict = judge(read_journals(journals(options_)), ledgers, total);
    for (const auto& sentence : verdict.wrong) say_wrong(sentence);
    acknowledged_ = verdict.acknowledged;
    return {};
  }

  const RoleOptions& options_;
  Scheduler scheduler_;
  std::optional<Store> store_;
  std::size_t acknowledged_ = 0;
};

}  // namespace

int run_store_judge(const RoleOptions& options) {
  StoreJudge judge(options);
  const Status status = judge.run();
  if (!status) say_wrong("the store: " + status.error().to_string());
  return end_of_judgement(judge.acknowledged());
}

}  // namespace semper::testing
