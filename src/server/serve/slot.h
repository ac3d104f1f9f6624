// Slot: where the work of one entity meets in one process, one batch at a time.
//
// Calls and casts of this process wait in the mailbox; what others enqueued is noticed through the
// index. At most one runner, a coroutine, works on a slot. It takes everything that waits and runs
// it in one transaction: first the durable queue, in order, then, once that is empty, the mailbox.
// A batch that loses against another process is run again from what is then stored. Priority
// messages come between batches, and during the pauses of one that waits to try again.
//
// Whose loop the runner is on. A caller that finds nobody at work starts it on its own loop, which
// is the quickest; where callbacks may wait, it is started at the host's own. A caller's loop is
// only borrowed: the runner goes on at the host's as soon as no caller of the borrowed one waits
// any more, where that one is destroyed, and where it does not run while others wait
// (kLoopPatience; but a callback that takes its time is waited for). Who runs is said by the
// number of the turn. A runner that has lost its turn and goes on later, because its loop does,
// finds that out before it runs a callback and before it takes anything from the slot; a commit of
// it that was under way meanwhile is one as of another process. Callers of other loops whose
// operations it had in hand get outcome_unknown.
//
// Bounds: kMailboxOperations waiting operations, then `retry`; those of a batch are batch.h's.
#pragma once

#include <atomic>
#include <deque>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "server/send/loop.h"
#include "server/send/operation.h"
#include "server/serve/batch.h"
#include "server/serve/desk.h"
#include "server/serve/entity_turn.h"
#include "server/serve/locked_task.h"
#include "server/serve/permits.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

inline constexpr std::size_t kMailboxOperations = 100'000;

// Batches of an entity before it gives its permit to another that waits.
inline constexpr int kBatchesPerTurn = 16;

// Priority messages in a row, where other work waits beside them.
inline constexpr int kPriorityInRow = 8;

// Callers of other loops whose operations are in hand, past which those that were answered are
// forgotten.
inline constexpr std::size_t kInHandAnswered = 1024;

class SlotOwner;

inline constexpr Version kUnknownVersion = std::numeric_limits<Version>::max();

class Slot : public std::enable_shared_from_this<Slot> {
 public:
  Slot(std::shared_ptr<SlotOwner> owner, std::shared_ptr<const ServedBehaviour> served,
       std::shared_ptr<const Target> target);

  // Hands the operation to the runner, which is started on this executor, the caller's, where none
  // runs (at home where callbacks may wait).
  Status submit(Operation&& operation, const Executor& executor);

  // The durable queue may hold messages: the index said so at this version, or somebody who read no
  // index (kUnknownVersion). Of no use where it was emptied by a later commit of this host. The
  // permit is held until the slot rests.
  void notice_queue(Version seen_at, std::shared_ptr<Permit> permit = nullptr);
  bool is_news(Version seen_at) const;

  class Running;
  // For a group (group.h): the turn of an entity that rests. Nothing where it does not, or where
  // the notice is no news: its own runner sees to it.
  std::optional<Running> join_group(Version seen_at, std::shared_ptr<Permit> permit);
  // The same, for ticks: nobody has said that the queue holds messages.
  std::optional<Running> join_group_with_ticks();
  // Borrows the turn.
  Batch batch_for_group(Running& running);
  // The turn ends, or goes on with what came meanwhile. `is_done`: the queue was seen to, or need
  // not be.
  static void leave_group(Running running, BatchOutcome& outcome, bool is_done);

  // Runs what waits, to the end of the turn.
  static Task<void> run(Running running);

  // For a group of operations of this process (local_groups.h): what waits, where it is nothing
  // else, and the turn lasts.
  std::optional<std::vector<Operation>> take_for_local_group(Running& running);
  // Borrows the turn.
  Batch batch_for_local_group(Running& running, std::vector<Operation> operations);
  // The turn ends; or goes on with what came meanwhile, and is returned.
  static std::optional<Running> leave_local_group(Running running, BatchOutcome& outcome);
  // The group has not run it: alone, then, to its end. Borrows both.
  static Task<void> run_begun(Running& running, Batch& batch);

  // The host stops: a runner on a loop that does not run must not keep it.
  void expect_end();

  const Target& target() const { return *target_; }
  const Executor& home() const { return core().home.executor(); }
  bool is_idle() const;
  // A coroutine here holds the entity's lock, or waits for its holder.
  bool attends_lock() const;
  bool has_permit() const;
  // For the cache; written by the runner.
  std::size_t cached_bytes() const { return cached_bytes_.load(std::memory_order_relaxed); }

  // Where the cache keeps it; guarded by the owner's lock.
  struct CachePlace {
    bool listed = false;   // to be found by its id
    bool resting = false;  // has a position among the least recently used
    std::list<Slot*>::iterator position;
    std::size_t bytes = 0;
  };
  CachePlace cache_place;

 private:
  class Attending;
  struct Round;

  Round next_round(Running& running, int& urgent_in_row);
  void take_batch(Round& round);
  // With the lock: nobody is at work on it, and nothing waits here.
  bool rests() const;
  std::uint64_t begin_group_turn();
  std::optional<Running> enter_group(std::uint64_t turn);
  // With the lock: the turn is over, with nothing left to do. What is given back then is in the
  // round.
  void rest(Running& running, Round& round);
  void settle(BatchOutcome& outcome, std::uint64_t turn, std::optional<Gate::Holder> inside);
  Task<void> settle_lock(BatchOutcome outcome, std::uint64_t turn);
  std::optional<Operation> take_priority(std::uint64_t turn);
  Async<void> pause(Running& running, Duration duration);
  // What a runner that lost its turn had not done: whoever runs now does it.
  void give_back(std::vector<Operation> operations);
  void give_back(Operation operation);
  // Holds the lock, or waits for its holder, unless this process does so already.
  // `inside`: of the gate, for who holds it: a host that stops leaves the lock before it ends.
  void attend_lock(std::optional<HeldLock> held, std::optional<Gate::Holder> inside);
  static Task<void> attend(std::shared_ptr<Slot> self, std::optional<HeldLock> held,
                           std::optional<Gate::Holder> inside);
  Task<void> attend_here(HeldLock held);

  // Turns (slot_turns.cc).
  enum class Lost : std::uint8_t { destroyed, silent };
  bool has_turn(std::uint64_t turn) const;
  bool enter_callbacks(Desk& desk, std::uint64_t turn);
  void keep(std::uint64_t turn, std::shared_ptr<Permit> to_run_alone);
  bool enter_gate(std::uint64_t turn);
  // `others`: with those of the same loop, if there are some.
  enum class Along : std::uint8_t { alone, others };
  void start(std::uint64_t turn, const Executor& executor, Along along = Along::alone);
  void start_at_home(Running running);
  void pass_on(std::uint64_t turn, Lost how);
  static Task<void> watch(std::shared_ptr<Slot> self);
  void begin_watch();
  // With the lock.
  std::uint64_t begin_turn(Loop where);
  void hold_answer(const Operation& operation);
  bool wants_watch();
  bool is_borrowed() const;

  HostCore& core() const { return served_->core(); }

  const std::shared_ptr<SlotOwner> owner_;
  const std::shared_ptr<const ServedBehaviour> served_;
  const std::shared_ptr<const Target> target_;

  mutable std::mutex mutex_;
  std::deque<Operation> priority_;
  std::vector<Operation> mailbox_;
  std::optional<OneShot<std::monostate>> pausing_;  // a pause, to be ended by a priority message
  bool queue_noticed_ = false;
  Version noticed_at_ = 0;          // while queue_noticed_: the last notice
  Version vacated_at_ = 0;          // the commit by which this host last took the index entry away
  std::shared_ptr<Permit> permit_;  // to be one of the host's active entities
  int batches_ = 0;                 // with it
  std::shared_ptr<Permit> alone_;   // while a message is run that may end this process
  bool lock_attended_ = false;      // a coroutine holds the lock, or waits for its holder

  bool running_ = false;
  std::uint64_t turn_ = 0;
  const void* loop_ = nullptr;     // of the runner: its execution context
  Loop where_;                     // the same, to ask whether it runs
  std::size_t waiting_there_ = 0;  // operations of that loop in mailbox_ and priority_
  std::vector<OneShot<Result<Bytes>>> in_hand_;  // of callers of other loops
  std::optional<Gate::Holder> inside_;           // the host's gate, while running_
  bool watched_ = false;
  std::shared_ptr<Desk> desk_;

  std::atomic<std::size_t> cached_bytes_{0};
};

// Who keeps slots, and is told of them.
class SlotOwner {
 public:
  virtual ~SlotOwner() = default;

  // A runner has ended; what the slot holds in memory takes so many bytes.
  virtual void rest(Slot& slot, std::size_t bytes) = 0;
  // An entity of this shard has more to do, and gave its permit up for others.
  virtual void leave_over(std::uint32_t shard) = 0;
  // A runner begins for an operation of this loop. True: it is begun there together with others,
  // and the turn was taken.
  virtual bool gather(Slot::Running& running, const Executor& executor) = 0;

  // Turns that last.
  std::atomic<std::size_t> at_work{0};
};

// A runner's turn. Ends however the runner's coroutine does, also before it began: another one goes
// on.
class Slot::Running final : public EntityTurn {
 public:
  Running(std::shared_ptr<Slot> slot, std::uint64_t turn) : slot_(std::move(slot)), turn_(turn) {
    slot_->owner_->at_work.fetch_add(1, std::memory_order_relaxed);
  }
  Running(Running&& other) noexcept = default;
  Running& operator=(Running&&) = delete;
  ~Running() {
    if (!slot_) return;
    slot_->owner_->at_work.fetch_sub(1, std::memory_order_relaxed);
    if (!is_over_) slot_->pass_on(turn_, Lost::destroyed);
  }

  const std::shared_ptr<Slot>& slot() const { return slot_; }
  std::uint64_t turn() const { return turn_; }
  // From the first round on.
  const std::shared_ptr<Desk>& desk() const { return desk_; }
  void use(std::shared_ptr<Desk> desk) { desk_ = std::move(desk); }
  void finished() { is_over_ = true; }

  bool lasts() const override { return slot_->has_turn(turn_); }
  bool enter_callbacks() override { return slot_->enter_callbacks(*desk_, turn_); }
  Async<void> pause(Duration duration) override { return slot_->pause(*this, duration); }
  void keep(std::shared_ptr<Permit> to_run_alone) override {
    slot_->keep(turn_, std::move(to_run_alone));
  }

 private:
  std::shared_ptr<Slot> slot_;
  std::uint64_t turn_;
  std::shared_ptr<Desk> desk_;
  bool is_over_ = false;
};

}  // namespace semper::internal
