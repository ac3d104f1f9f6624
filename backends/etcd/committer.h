// Committer: sends what all callers of a handle commit, many transactions in one request.
//
// kLanes requests are under way at a time, each on a lane of its own (lane.h), so that etcd writes
// one while the next is made. What arrives meanwhile waits and goes into the next one, so requests
// grow with the load by themselves, and a lone transaction waits for nobody. Transactions that have
// nothing in common go together; one that touches what another of the request touches, or one that
// is under way, waits for the next. Each succeeds or conflicts on its own (request.h).
//
// What may happen to a request, and what is done:
//   a later version was committed first, by      sent again with one above it (StampClock)
//   another process or on another lane
//   somebody added to the same number            that transaction is sent again with the value told
//   no answer                                    found out (outcome.h); if it was not applied and
//                                                never will be, it is sent again
//   etcd refuses it                              an endpoint that is away: again, on another one;
//                                                otherwise the callers get the error
// All of that is bounded: by kCommitPatience from the call of commit(), and by attempts.
//
// Threads: commit() and close() from any; everything else runs on the executor given, which runs
// one handler at a time, in one coroutine for each lane at work.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "backends/etcd/lane.h"
#include "backends/etcd/outcome.h"
#include "backends/etcd/packer.h"
#include "backends/etcd/request.h"
#include "backends/etcd/stamp_clock.h"
#include "backends/etcd/statistics.h"
#include "semper/env/backoff.h"
#include "semper/env/env.h"

namespace semper::etcd {

// Requests under way. A third one finds nothing to do while etcd writes to one disk.
inline constexpr std::size_t kLanes = 2;
// What waits at most; more get `retry`.
inline constexpr std::size_t kQueueTransactions = 100'000;
inline constexpr std::size_t kQueueBytes = std::size_t{256} << 20;
// Waiting transactions that are looked at for one request.
inline constexpr std::size_t kTakeScan = 512;
// How long a transaction is sent again before its caller gets the error.
inline constexpr Duration kCommitPatience = std::chrono::seconds(10);
inline constexpr BackoffOptions kResendPause = {.initial = std::chrono::milliseconds(5),
                                                .maximum = std::chrono::milliseconds(250)};
inline constexpr int kRequestAttempts = 200;
inline constexpr int kTransactionAttempts = 100;

class Committer : public std::enable_shared_from_this<Committer> {
 public:
  struct Context {
    Kv* kv = nullptr;
    const Layout* layout = nullptr;
    Env env;
    Executor executor;
    Statistics* statistics = nullptr;
    StampClock* clock = nullptr;
    VersionMap* versions = nullptr;
    const ReadMemory* reads = nullptr;
  };
  explicit Committer(Context context);

  // See Backend::commit.
  Async<CommitReceipt> commit(CommitRequest request);

  // Refuses new transactions, waits for those under way, gives the lanes up.
  Async<void> close();

 private:
  using Answer = Result<CommitReceipt>;
  struct Pending {
    Plan plan;
    MonotonicTime until{};
    OneShot<Answer> done;
    int attempts = 0;
    bool alone = false;
    std::optional<Validated> validated;
  };
  using PendingPtr = std::shared_ptr<Pending>;
  using Batch = std::vector<PendingPtr>;

  // What is under way on one lane, and what its requests look at.
  struct Lane {
    Guards guards;
    // With the mutex held:
    bool is_at_work = false;  // has a coroutine
    Footprint footprint;      // of its request; nothing between two
    bool is_alone = false;    // no other lane may have a request meanwhile
  };

  // A lane to be set to work, or null.
  Result<Lane*> enqueue(const PendingPtr& pending);
  void start(Lane& lane);
  static Task<void> run(std::shared_ptr<Committer> self, Lane& lane);
  Batch take(Lane& lane);
  Lane* idle_lane();
  void put_back(Batch batch);

  Task<void> send(Lane& lane, Batch batch);
  Async<void> get_ready(Lane& lane, Batch& batch);
  Async<void> validate_all(Batch& batch);
  void refuse_declared(const Lane& lane, Batch& batch);
  pb::TxnRequest build(const Lane& lane, const Batch& batch, Sent& sent);

  void settle(Lane& lane, Batch& batch, const Sent& sent, const pb::TxnResponse& answer);
  void settle_found(Lane& lane, Batch& batch, const Sent& sent, const FoundOutcome& found);
  void applied(Lane& lane, Pending& pending, const Sent::Part& part, Revision revision,
               bool is_last);
  void finish_request(Lane& lane, const Sent& sent, Revision revision);
  void try_again(Batch& later, PendingPtr pending, const char* why);
  Status learn(Lane& lane, const pb::TxnResponse& told);
  Task<void> recover(Lane& lane, Batch& batch, const Sent& sent, const WriteFailure& failure,
                     Backoff& pause);
  Task<void> resolve(Lane& lane, Batch& batch, const Sent& sent, const WriteFailure& failure,
                     Backoff& pause);
  Task<void> wait_to_resend(Batch& batch, const Error& error, Backoff& pause);

  void answer(Pending& pending, Answer with);
  void answer_all(Batch& batch, const Error& error);
  void wake();

  const Context context_;
  const std::string session_;

  std::mutex mutex_;
  std::deque<PendingPtr> queue_;
  std::size_t queue_bytes_ = 0;
  std::array<Lane, kLanes> lanes_;
  bool closing_ = false;
  std::optional<OneShot<std::monostate>> idle_;

  // Of those at work.
  Counters counters_;
  std::uint64_t lanes_made_ = 0;
  std::vector<std::pair<OneShot<Answer>, Answer>> answers_;
};

}  // namespace semper::etcd
