// EtcdBackend: the parts of an open etcd: store, put together.
//
//   snapshot()  ->  EtcdSnapshot   a revision, chosen by the first read; VersionMap, ReadMemory
//   commit()    ->  Committer      Plan per transaction, many in one request; Validation,
//                                  find_outcome
//   watch()     ->  WatchHub       one watch stream, resumed at its revision
//                   Cluster        the endpoints, on durable channels
//
// One thread of its own runs the committer and the watch stream; reads run where their callers do.
//
// Threads: any. Destroying it without close() ends what is under way without an answer.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "backends/etcd/committer.h"
#include "backends/etcd/snapshot.h"
#include "backends/etcd/watch_hub.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"

namespace semper::etcd {

// Of etcd: the first whose nested transactions and watch ids this backend needs.
inline constexpr int kOldestMajor = 3;
inline constexpr int kOldestMinor = 4;
inline constexpr int kOpenAttempts = 20;
inline constexpr std::size_t kCheckPageRows = 1'024;

// A sentence on how many members told what they hold. Error: corrupt (two of them contradict each
// other).
Result<std::string> compare_members(const std::vector<Cluster::MemberHash>& members);

// Of Backend::raise_version. Error: invalid_argument (there is no such version).
Status check_floor(Version floor);

class EtcdBackend final : public Backend {
 public:
  static Async<std::shared_ptr<Backend>> open(EtcdOptions options, Env env);

  ~EtcdBackend() override;

  const Limits& limits() const override;
  BackendTraits traits() const override;
  std::string url() const override;
  Async<std::unique_ptr<Snapshot>> snapshot() override;
  Async<CommitReceipt> commit(CommitRequest request) override;
  Async<void> raise_version(Version floor) override;
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override;
  Async<std::string> check() override;
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override;
  Async<void> close() override;

  // For tests.
  WatchHub& watch_hub();

 private:
  struct Parts {
    Parts(EtcdOptions given, Env in);
    ~Parts();

    EtcdOptions options;
    Env env;
    const pid_t process;
    Layout layout;
    const std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
    StampClock stamps;
    VersionMap versions;
    ReadMemory reads;
    std::atomic<bool> closed = false;
    // Who wait until it is closed; nothing: it is.
    std::mutex closing;
    std::optional<std::vector<OneShot<std::monostate>>> closers{std::in_place};
    // Declared before what runs on it and after what it uses: it ends first.
    std::shared_ptr<Scheduler> scheduler;
    std::shared_ptr<Cluster> cluster;
    std::shared_ptr<Committer> committer;
    std::shared_ptr<WatchHub> hub;
  };

  // On the store's own thread, whatever becomes of the callers.
  static Task<void> shut_down(Parts& parts);

  explicit EtcdBackend(std::shared_ptr<Parts> parts) : parts_(std::move(parts)) {}

  static Async<void> make_store(Parts& parts);
  bool is_foreign() const;
  Status check_open() const;
  std::unique_ptr<EtcdSnapshot> new_snapshot() const;

  std::shared_ptr<Parts> parts_;
};

}  // namespace semper::etcd
