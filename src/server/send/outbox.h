// Outbox: what the Refs of this process enqueue in one tenant of one store.
//
// Casts and queued calls that arrive while a commit is running wait here and go out together with
// the next one, as few queue segments as there are entities. So the batch grows by itself with the
// load, and no timer delays a lone message.
//
// The loop of a publisher sends for all while publishers of that loop wait; then the loop of the
// next one does. A loop that is destroyed, or that does not run any more while others wait
// (kLoopPatience), is followed by another; what it was committing then has an unknown outcome.
// Whoever waits for another loop than its own looks whether that one runs.
//
// Bounds: kOutboxBytes waiting; past that submit() answers `retry`. Durability: an operation is
// answered when the transaction that holds all of it has committed.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/server/message.h"
#include "server/format/target.h"
#include "server/send/keyed_send.h"
#include "server/send/loop.h"
#include "server/send/send_counts.h"

namespace semper::internal {

inline constexpr std::size_t kOutboxBytes = 64u << 20;
// Of one transaction.
inline constexpr std::size_t kOutboxMessagesPerCommit = 4096;
inline constexpr std::size_t kOutboxWritesPerEntity = 4;
// A row, its chunks and its entry that are over, a count.
inline constexpr std::size_t kOutboxWritesPerKey = 6;

struct Publication {
  std::shared_ptr<const Target> target;
  Event event = Event::cast;
  std::vector<RawMessage> messages;
  ReplyToken caller;  // of a call
  // Written along with it: key and value of the caller's session, where it is not registered yet.
  std::vector<KeyValue> alongside;
  OneShot<Status> done;
  std::size_t size_bytes = 0;
  std::shared_ptr<KeyedSend> keyed = nullptr;  // of one message with a key
  ChainPointer chain = nullptr;                // of a call
  Loop loop = {};                              // of the coroutine that waits
  bool refused = false;                        // answered already
};

class Outbox : public std::enable_shared_from_this<Outbox> {
 public:
  explicit Outbox(Store store) : store_(std::move(store)) {}

  // Enqueue durably. Run on the calling coroutine's executor. `keyed`: where the message has a key;
  // what came of that is there on success, of a cast also an error.
  Async<void> cast(std::shared_ptr<const Target> target, std::vector<RawMessage> messages,
                   std::shared_ptr<KeyedSend> keyed);
  Async<void> call(std::shared_ptr<const Target> target, RawMessage message, ReplyToken caller,
                   std::vector<KeyValue> alongside, std::shared_ptr<KeyedSend> keyed,
                   ChainPointer chain);

  // Within a transaction of somebody's own, which sends them with its commit.
  Async<void> cast_in(Transaction& transaction, std::shared_ptr<const Target> target,
                      std::vector<RawMessage> messages);

 private:
  class Runner;
  using Publications = std::vector<Publication>;

  Async<void> publish(Publication publication);
  Async<void> publish_keyed(Publication publication);
  // A runner's turn ends when it finds nothing to do for its loop, or when another's has begun.
  static Task<void> run(std::shared_ptr<Runner> runner);
  // The next batch; null where the turn is over.
  std::shared_ptr<Publications> take(Runner& runner);
  void take_some(Publications& batch);
  static void answer(Publications& batch, const Loop& here, const Status& status);
  static Async<void> commit(const Store& store, const Publications& batch);
  static Async<void> meet_keys(Transaction& transaction, const Publications& batch);
  // Answers publications to entities whose queue is full.
  Async<void> refuse_full(Publications& batch);
  Async<bool> is_full(const Target& target);
  static Async<bool> is_full_in(Transaction& transaction, const Target& target, ReadMode mode);
  static Error full_queue(const Target& target);
  static Error too_many_bytes(std::size_t bytes, const Limits& limits);

  // Begins a turn on the loop of a waiting publication, not on `but`. With the lock held.
  std::shared_ptr<Runner> next_runner(const Loop& but);
  static void start(std::shared_ptr<Runner> runner);
  // The turn has ended before its work: the loop is gone, or does not run.
  void pass_on(std::uint64_t turn, const char* why);
  Async<void> wait_beside(OneShot<Status> done);
  // Looks at the loop that sends now. To be called every kLoopPatience.
  void look_at_runner(LoopWatch& watch);
  // For those that waited for a runner on their own loop, without a timer, and now wait for
  // another one.
  static void watch_for(const std::shared_ptr<Outbox>& self, const Loop& loop,
                        std::vector<OneShot<Status>> unanswered);
  static Task<void> watch(std::shared_ptr<Outbox> self, std::vector<OneShot<Status>> unanswered);
  // The invariants, with the lock held.
  void check() const;

  const Store store_;
  std::mutex mutex_;
  std::deque<Publication> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool running_ = false;
  std::uint64_t turn_ = 0;
  Loop runner_loop_;
  std::size_t waiting_there_ = 0;          // publications of that loop in waiting_
  std::shared_ptr<Publications> current_;  // being committed; others only answer it

  SendCounts send_counts_;
};

}  // namespace semper::internal
