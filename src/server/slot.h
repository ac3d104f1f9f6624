// Slot: where the work of one entity meets in one process, one batch at a time.
//
// Calls and casts of this process wait in the mailbox; what others enqueued is noticed through the
// index. At most one runner, a coroutine, works on a slot. It takes everything that waits and runs
// it in one transaction: first the durable queue, in order, then, once that is empty, the mailbox.
// A batch that loses against another process is run again from what is then stored. Priority
// messages come between batches, and during the pauses of one that waits to try again.
//
// Whose loop the runner is on. A caller that finds nobody at work starts it on its own loop, which is
// the quickest. That loop is only borrowed: the runner goes on at the host's own as soon as no caller of
// the borrowed one waits any more, where that one is destroyed, and where it does not run while others
// wait (kLoopPatience; but a callback that takes its time is waited for). Who runs is said by the number
// of the turn. A runner that has lost its turn and goes on later, because its loop does, finds that out
// before it runs a callback and before it takes anything from the slot; a commit of it that was under way
// meanwhile is one as of another process. Callers of other loops whose works it had in hand get
// outcome_unknown.
//
// Bounds: kMailboxWorks waiting works, then `retry`; those of a batch are batch.h's.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "desk.h"
#include "host_core.h"
#include "local_work.h"
#include "loop.h"
#include "permits.h"

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

// Callers of other loops whose works are in hand, past which those that were answered are forgotten.
inline constexpr std::size_t kInHandAnswered = 1024;

class ServedType;

class Slot : public std::enable_shared_from_this<Slot> {
 public:
  Slot(std::shared_ptr<ServedType> type, std::shared_ptr<const Target> target);

  // Hands the work to the runner, which is started on this executor, the caller's, where none runs.
  Status submit(LocalWork work, const Executor& executor);

  // The durable queue may hold messages. The permit is held until the slot rests.
  void notice_queue(std::shared_ptr<Permit> permit = nullptr);

  // The host stops: a runner on a loop that does not run must not keep it.
  void expect_end();

  const Target& target() const { return *target_; }
  const std::shared_ptr<const Target>& shared_target() const { return target_; }
  ServedType& type() const { return *type_; }
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

  // For the runner, and the batch that it is at, with the number of its turn.

  bool has_turn(std::uint64_t turn) const;
  // Between the two nobody takes the turn away. False: it is over, no callback may run.
  bool enter_callbacks(Desk& desk, std::uint64_t turn);
  static void leave_callbacks(Desk& desk) { desk.in_callbacks.store(false); }
  // The queue is to be looked at once more, after what waits by then.
  void look_again(std::uint64_t turn);
  // Waits, and runs the priority messages that come meanwhile: between attempts only. Returns at once
  // where the turn is over.
  Async<void> pause(std::shared_ptr<Desk> desk, std::uint64_t turn, Duration duration);
  // Until the batch or the turn ends.
  void keep(std::uint64_t turn, std::shared_ptr<Permit> to_run_alone);
  // What a runner that lost its turn had not done: whoever runs now does it.
  void give_back(std::vector<LocalWork> works);

  Context context_for(Transaction& transaction, Event event, ReplyToken caller,
                      Context::Sends& sends) const;
  void run_actions(const Entity& entity, std::vector<Action>& actions) const;
  // Tells the behaviour, and drops the state from memory.
  void terminate(Entity& entity, const std::string& reason) const;

 private:
  friend class LockedTask;
  class Running;
  struct Round;

  static Task<void> run(Running running);
  Round next_round(Running& running, int& urgent_in_row);
  void take_batch(Round& round);
  std::optional<LocalWork> take_priority(std::uint64_t turn);
  Task<void> run_priority(std::shared_ptr<Desk> desk, std::uint64_t turn, LocalWork work);
  Async<Bytes> attempt_priority(Desk& desk, std::uint64_t turn, const LocalWork& work);

  // Turns (slot_turns.cc).
  enum class Lost : std::uint8_t { destroyed, silent };
  bool enter_gate(std::uint64_t turn);
  void start(std::uint64_t turn, const Executor& executor);
  void start_at_home(Running running);
  void pass_on(std::uint64_t turn, Lost how);
  static Task<void> watch(std::shared_ptr<Slot> self);
  void begin_watch();
  // With the lock.
  std::uint64_t begin_turn(Loop where);
  void hold_answer(const LocalWork& work);
  bool wants_watch();
  bool is_borrowed() const;

  const std::shared_ptr<ServedType> type_;
  const std::shared_ptr<const Target> target_;

  mutable std::mutex mutex_;
  std::deque<LocalWork> priority_;
  std::vector<LocalWork> mailbox_;
  std::optional<OneShot<std::monostate>> pausing_;  // a pause, to be ended by a priority message
  bool queue_noticed_ = false;
  std::shared_ptr<Permit> permit_;  // to be one of the host's active entities
  int batches_ = 0;                 // with it
  std::shared_ptr<Permit> alone_;   // while a message is run that may end this process
  bool lock_attended_ = false;      // a coroutine holds the lock, or waits for its holder

  bool running_ = false;
  std::uint64_t turn_ = 0;
  const void* loop_ = nullptr;                   // of the runner: its execution context
  Loop where_;                                   // the same, to ask whether it runs
  std::size_t waiting_there_ = 0;                // works of that loop in mailbox_ and priority_
  std::vector<OneShot<Result<Bytes>>> in_hand_;  // of callers of other loops
  std::optional<Gate::Holder> inside_;           // the host's gate, while running_
  bool watched_ = false;
  std::shared_ptr<Desk> desk_;

  std::atomic<std::size_t> cached_bytes_{0};
};

}  // namespace semper::internal
