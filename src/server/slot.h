// Slot: where the work of one entity meets in one process, one batch at a time.
//
// Calls and casts of this process wait in the mailbox; what others enqueued is noticed through the
// index. At most one runner, a coroutine, works on a slot. It takes everything that waits and runs
// it in one transaction: first the durable queue, in order, then, once that is empty, the mailbox.
// A batch that loses against another process is run again from what is then stored. Priority
// messages come between batches, and during the pauses of one that waits to try again.
//
// Bounds: kMailboxWorks waiting works, then `retry`; those of a batch are batch.h's.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "entity.h"
#include "host_core.h"
#include "local_work.h"
#include "permits.h"
#include "suspicion.h"

namespace semper::internal {

inline constexpr std::size_t kMailboxWorks = 100'000;

// Where publishers are quick, the index entry goes only after the queue was found empty so often in
// a row, with these pauses: taking it away while a message comes costs a conflict.
inline constexpr int kEmptyLooks = 8;
inline constexpr Duration kEmptyPause = std::chrono::milliseconds(1);

// Batches of an entity before it gives its permit to another that waits.
inline constexpr int kBatchesPerTurn = 16;

// Priority messages in a row, where other work waits beside them.
inline constexpr int kPriorityInRow = 8;

inline constexpr std::size_t kNoMessageLimit = ~std::size_t{0};

class ServedType;

class Slot : public std::enable_shared_from_this<Slot> {
 public:
  Slot(std::shared_ptr<ServedType> type, std::shared_ptr<const Target> target);

  // Hands the work to the runner, which is started on this executor where none runs.
  Status submit(LocalWork work, const Executor& executor);

  // The durable queue may hold messages. The permit is held until the slot rests.
  void notice_queue(const Executor& executor, std::shared_ptr<Permit> permit = nullptr);
  // For the runner: the same once more, after what waits by then.
  void look_again();

  const Target& target() const { return *target_; }
  const std::shared_ptr<const Target>& shared_target() const { return target_; }
  bool is_idle() const;
  bool has_permit() const;
  // For the cache; written by the runner.
  std::size_t cached_bytes() const { return cached_bytes_.load(std::memory_order_relaxed); }

  // Where the cache keeps it; guarded by the ServedType's lock.
  struct CachePlace {
    bool listed = false;   // to be found by its id
    bool resting = false;  // has a position among the least recently used
    std::list<Slot*>::iterator position;
    std::size_t bytes = 0;
  };
  CachePlace cache_place;

  // For the batch that the runner is at.

  ServedType& type() const { return *type_; }
  Entity& entity() { return entity_; }
  // What outlasts a batch.
  struct Memory {
    bool contended = false;  // taking the index entry away met publishers the last time
    bool crowded = false;    // so did works of this process; until the queue is found empty
    int empty_looks = 0;     // at the queue since then, in a row, that found nothing
    // Runs that this message, the first of the queue, failed.
    int head_failures = 0;
    QueuePlace head;
    // Messages of a batch, while others change the entity: half of one that lost, twice one that
    // won.
    std::size_t most = kNoMessageLimit;
    // Of messages that a process may have died of: the announcement in force, the number of the
    // suspicion that it is for, and of the one that the queue is cleared of.
    std::optional<Announcement> announced;
    std::uint64_t announced_of = 0;
    std::uint64_t cleared_of = 0;
    // Where it can not be read: the last segment whose callers were told.
    std::optional<Versionstamp> parked_told;
  };
  Memory& memory() { return memory_; }
  // Waits, and runs the priority messages that come meanwhile: between attempts only.
  Async<void> pause(Duration duration);
  Context context_for(Transaction& transaction, Event event, ReplyToken caller,
                      Context::Sends& sends) const;
  void run_actions(std::vector<Action>& actions);
  // Tells the behaviour, and drops the state from memory.
  void terminate(const std::string& reason);

 private:
  friend class LockedTask;
  class Running;

  static Task<void> run(std::shared_ptr<Slot> self, Gate::Holder inside);
  void start(const Executor& executor);
  std::optional<LocalWork> take_priority();
  Task<void> run_priority(LocalWork work);
  Async<Bytes> attempt_priority(const LocalWork& work);

  const std::shared_ptr<ServedType> type_;
  const std::shared_ptr<const Target> target_;

  mutable std::mutex mutex_;
  std::deque<LocalWork> priority_;
  std::vector<LocalWork> mailbox_;
  std::optional<OneShot<std::monostate>> pausing_;  // a pause, to be ended by a priority message
  bool queue_noticed_ = false;
  bool running_ = false;
  std::shared_ptr<Permit> permit_;  // to be one of the host's active entities
  int turn_ = 0;                    // batches with it
  bool lock_attended_ = false;    // a coroutine holds the lock, or waits for its holder

  // The runner's own.
  Entity entity_;
  Memory memory_;
  std::atomic<std::size_t> cached_bytes_{0};
};

}  // namespace semper::internal
