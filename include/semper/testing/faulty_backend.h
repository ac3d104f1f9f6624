// FaultyBackend: a store with the faults of networks and disks, from a seed.
//
// What for: proving that code above a store survives conflicts, lost answers and late wake-ups. It
// wraps any backend, usually memory:. When not: measuring performance. No fault here damages stored
// bytes or breaks a promise of Backend; faults only use the freedom that the promises leave.
//
//   auto faulty = std::make_shared<FaultyBackend>(memory, Env{&clock, &random},
//                                                 StoreFaults{.unknown_applied = 0.05});
//   Store store(faulty, env);
//   faulty->script({CommitFault::unknown_late});       // this one for certain, at the next commit
//
// The same seed, calls and clock give the same faults. Threads: any. The Env must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/store/backend.h"
#include "semper/store/neighbours.h"
#include "semper/store/recent_changes.h"

namespace semper::testing {

// Each probability is from 0 to 1, by default 0; each time is drawn evenly from 0 up to its value.
struct StoreFaults {
  // commit() returns `conflict` although there was none; nothing is applied.
  double conflict = 0;
  // commit() returns `outcome_unknown`; the writes were applied,
  double unknown_applied = 0;
  // ... are never applied,
  double unknown_lost = 0;
  // ... or are still on their way, for up to late_by; if anything they read has changed when they
  // arrive, they are not applied.
  double unknown_late = 0;
  Duration late_by = std::chrono::milliseconds(50);
  // snapshot() returns `retry`.
  double snapshot_refused = 0;
  // A read, or a commit before or after it is applied, waits up to delay_by.
  double delay = 0;
  Duration delay_by = std::chrono::milliseconds(5);
  // A commit is stuck for up to slow_by before it is tried.
  double slow = 0;
  Duration slow_by = std::chrono::seconds(2);
  // A watch fires up to watch_late_by after the change.
  double watch_late = 0;
  Duration watch_late_by = std::chrono::milliseconds(50);
  // A wait on a watch returns within watch_late_by without any change.
  double watch_spurious = 0;
  // A link to another process: connect() or send() return `retry`;
  double link_refused = 0;
  // ... it ends at a message, which may still arrive;
  double link_cut = 0;
  // ... a message comes up to link_late_by later, and all that follows not before it;
  double link_late = 0;
  Duration link_late_by = std::chrono::milliseconds(50);
  // ... nothing is delivered any more, either way, and nobody is told; not even the other process
  // when this end is closed.
  double link_silent = 0;
};

enum class CommitFault : std::uint8_t {
  none,
  conflict,
  unknown_applied,
  unknown_lost,
  unknown_late,
};

class FaultyBackend final : public Backend, public RecentChanges, public Neighbours {
 public:
  FaultyBackend(std::shared_ptr<Backend> backend, Env env, StoreFaults faults = {});
  ~FaultyBackend() override;

  // Applies from now on. FaultyBackend::calm() ends all faults except those already on their way.
  void set_faults(StoreFaults faults);
  void calm() { set_faults({}); }

  // The faults of the next commits, whatever the probabilities say; this includes the fences by
  // which Transaction learns the outcome of an earlier commit.
  void script(std::initializer_list<CommitFault> next_commits);

  // Where late commits travel: they then arrive even if their sender's loop is gone. By default
  // they are lost with that loop. The executor must outlive them.
  void set_network(Executor network);

  // The links of a process that is stopped, as by SIGSTOP: what comes waits until it goes on.
  void set_paused(bool is_paused);
  // The links of a process that is killed, as by SIGKILL: they end, and nothing here is told.
  void kill();

  // How many faults of each kind have happened: a test that saw none has tested none.
  std::map<std::string, std::uint64_t> happened() const;

  // Late commits that have not arrived yet.
  std::size_t on_their_way() const;

  const Limits& limits() const override;
  BackendTraits traits() const override;
  std::string url() const override;
  Async<std::unique_ptr<Snapshot>> snapshot() override;
  Async<CommitReceipt> commit(CommitRequest request) override;
  Async<void> raise_version(Version floor) override;
  Async<BackupReport> backup(std::string path, BackupOptions options) override;
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override;
  Async<std::string> check() override;
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override;
  // What the backend inside knows, where it does.
  std::optional<Version> newest_known() const override;
  bool is_known_unchanged(BytesView key, Version since) const override;
  // Where the backend inside has none, nobody listens.
  Result<std::unique_ptr<Listening>> listen(std::string topic, Accept accept) override;
  bool has_listener(std::string_view topic) const override;
  Result<std::shared_ptr<NeighbourLink>> connect(
      std::string topic, std::shared_ptr<NeighbourReceiver> receiver) override;
  // Late commits are not waited for; they find the store closed and are never applied.
  Async<void> close() override;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  class Links;
  std::shared_ptr<Links> links_;
};

}  // namespace semper::testing
