// Batch: what an entity's runner does with what waits, in as few transactions as it takes.
//
// An attempt is one transaction: the entity is read, or known; callbacks run on the queued
// messages, in order, then, once the queue is empty, on the operations of this process; everything
// they asked for is written; and the operations are answered when the commit has succeeded. What
// cannot be done this way ends the attempt and changes the next one:
//
//   conflict             the same again, on what is stored now, with half as many messages
//   a snapshot too old   the same again; kTooOldAttempts times in a row it is an error of the store
//   a message fails      those before it, without it; then it alone; then, after
//                        HostOptions::message_attempts runs, or its type's, counted in the store
//                        (failure_note.h), it is set aside. Whatever fails is
//                        counted: init, a codec, the callback, a transaction that took too long
//   more than the store takes at once   half as many messages; one that is too much alone is set
//                        aside, or its caller told
//   an operation wants the lock, or to be answered later      it goes through the durable queue
//   the queue stays long                                       the operations join it at its end
//   this program is too old for the state, or for the first message     it is left to others (left_alone.h)
//
// Errors of the store itself (io, retry, closed) are nobody's attempt: the queue waits.
//
// A batch knows nothing of who runs it: it is given the entity's desk and the turn, and returns
// what is left to do.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "server/serve/entity_turn.h"
#include "server/serve/execution.h"

namespace semper::internal {

// Attempts that lose to other processes, in the commit, the load or the announcement: then the
// operations get `conflict`, and the queue waits for the next look.
inline constexpr int kConflictAttempts = 50;
// How long a batch waits for the host's one permit to run a suspected message alone: then its
// operations go through the queue, and the entity is looked at again later.
inline constexpr Duration kAlonePatience = std::chrono::seconds(30);
// Letters that one batch sets aside: their keys are numbered by 16 bits.
inline constexpr std::size_t kLettersPerBatch = 65'536;
// Attempts whose snapshot became too old, in a row: this process was stopped, or its disk stalls.
inline constexpr int kTooOldAttempts = 3;

// What a batch leaves to whoever ran it.
struct BatchOutcome {
  // The turn was lost before these were run: whoever runs the entity now does them.
  std::vector<Operation> undone;
  // The last commit that took the index entry away, where versions tell commits apart.
  Version vacated_at = 0;
  // The queue holds more, to be looked at after what waits by now.
  bool look_again = false;
  // The entity is locked, and this host is to hold the lock, or to wait for its holder.
  std::unique_ptr<HeldLock> lock;  // seldom: not in every frame
  bool is_locked_by_others = false;
};

class Batch {
 public:
  enum class Notice : std::uint8_t { none, queue };  // the index says that the queue holds messages

  // Borrows all but the operations.
  Batch(const ServedBehaviour& served, const std::shared_ptr<const Target>& target, Desk& desk,
        EntityTurn& turn, std::vector<Operation> operations, Notice notice);
  // Where the loop that runs it is destroyed in the middle, callers of other loops get
  // outcome_unknown.
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // To the end: all operations are answered, go through the queue, or are undone.
  Task<BatchOutcome> run();

  // Instead, as one of a group (group.h; batch_join.cc). Reads the entity in the transaction of
  // all, before any of them has written. False: it is to be run alone. Error: none can be run.
  // Where ticks are to be delivered (`effects.due`), of their timers, too; then it need not have
  // been noticed that the queue holds messages.
  Async<bool> look(Transaction& transaction, AttemptEffects& effects);
  // Its index entry goes, unless keep_index() says otherwise in the end: before anybody's casts,
  // which set it again.
  void vacate(Transaction& transaction);
  void keep_index(Transaction& transaction);
  // Runs the queue's messages. True: the transaction holds what they came to. False: the turn is
  // over. Error: the transaction must not be committed.
  Async<bool> join(Transaction& transaction, AttemptEffects& effects);
  // What it joined was committed, or not. `has_casts`: of any of the group, to whom is not known.
  enum class HasCasts : std::uint8_t { no, yes };
  BatchOutcome joined(const Versionstamp& committed, AttemptEffects& effects, HasCasts has_casts);
  void not_joined();

  // Instead, its operations as those of one of a group (local_groups.h; batch_join.cc), in a
  // transaction that begins at this version. False: it is to be run alone.
  bool is_known_at(const RecentChanges& changes, Version newest);
  // Runs them, if the turn lasts. Results as of join().
  Result<bool> join_known(Transaction& transaction, AttemptEffects& effects);
  // Where nobody of the group has written: whether it is still so.
  Async<bool> confirm(Transaction& now);
  // What it joined was committed, or confirmed. True: nothing is left to do, and the outcome is
  // there.
  bool joined_known(const Versionstamp& committed, AttemptEffects& effects, HasCasts has_casts,
                    BatchOutcome& outcome);
  bool confirmed(AttemptEffects& effects, BatchOutcome& outcome);
  // It was not. True: so its callers were told; else run() does it.
  bool undo_known(const Error& error);
  // As it was looked at: messages are in the queue.
  bool has_queue() const { return entity_.queue_length() > 0; }
  // What it has not run is somebody else's to run.
  void drop_operations() { operations_.clear(); }

 private:
  // One transaction. True: nothing is left to do. Error: that of the remaining operations.
  Async<bool> attempt();
  // Its stages; the others are in write() and below. prepare(): where the entity is not known.
  enum class MayRun : std::uint8_t { yes, again, overtaken, not_now };
  Transaction begin(bool waits, bool has_keys, AttemptEffects& effects);
  Async<MayRun> prepare(Transaction& transaction, const AttemptEffects& effects);
  Async<void> finish_waiting(Transaction& transaction, const Execution& execution,
                             MonotonicTime began, AttemptEffects& effects);
  bool cannot_be_written(const AttemptEffects& effects) const;
  Async<bool> resolve_unwritable(AttemptEffects& effects);
  void check(const AttemptEffects& effects) const;
  Async<bool> load(Transaction& transaction);
  // Which message is the first of the queue: as it was read, or once the attempt has taken effect.
  void note_head();
  void note_head(const AttemptEffects& effects);
  // True: an atomically() is let by; to be looked at again.
  Async<bool> let_by(Transaction& transaction);
  void step_back_for_publishers();
  // Whether the first message of the queue may be run (announcement.h); in an attempt that begins
  // anew, because this one waited, or was overtaken by other processes; or by a later batch, and
  // this one has nothing left to do.
  Async<MayRun> announce();
  // Its first message has ended each process that ran it: it is set aside without another run.
  void give_up(const Announcement& found, const QueuePlace& head, std::uint64_t number);
  // `not_now`: not within kAlonePatience; the entity is looked at again (left_alone.h).
  Async<MayRun> wait_to_run_alone(const QueuePlace& head);
  bool waits_for_announcer(const QueuePlace& head, const AliveRecord& announcer);
  // As find_full_queue().
  Async<std::optional<EntityId>> find_full(Transaction& transaction, const AttemptEffects& effects);
  // Keys, replies, timers, dead letters: rows that are read before they are written. Only where
  // there are some, or each batch would pay for a coroutine.
  Async<void> write_rows_apart(Transaction& transaction, const Execution& execution,
                               AttemptEffects& effects);
  Status write(Transaction& transaction, AttemptEffects& effects);
  Async<bool> answer_unwritten(AttemptEffects& effects);
  // Of a type whose entities expire (expiry.h).
  void note_activity(AttemptEffects& effects);
  bool puts_expiry_off() const;
  Async<void> expire(Transaction& transaction);
  bool keep_expired(const Error& error, const AttemptEffects& effects);
  bool conclude(const Versionstamp& committed, AttemptEffects& effects);
  bool finish(AttemptEffects& effects);
  // After the commit, while the turn lasts.
  void follow_up(AttemptEffects& effects);
  // Mutants only: what must wait for the commit.
  void follow_up_too_early(AttemptEffects& effects);
  void answer(AttemptEffects& effects);
  bool may_run_callbacks();
  // The entity is one that a group takes in, as it was loaded.
  bool suits_group();
  // Of the timers whose ticks a group is to deliver.
  Async<bool> look_at_due(Transaction& transaction, AttemptEffects& effects);
  // Messages and operations of this attempt at most.
  std::size_t limit() const;

  // What did not go as it should (batch_resolve.cc). Results as of attempt().
  enum class Again : std::uint8_t { yes, no };
  Async<bool> resolve_failure(AttemptEffects& effects);
  Async<bool> resolve_error(AttemptEffects& effects, Error error);
  Async<bool> resolve_refusal(AttemptEffects& effects, Error error);
  Async<bool> resolve_full(AttemptEffects& effects, const EntityId& full);
  Async<bool> resolve_conflict(const AttemptEffects& effects);
  Async<bool> fail_alone(const AttemptEffects& effects, bool is_local, Error error, Again again);
  // The message that has failed: the first operation, or the first message of the queue as long as
  // the entity has it at hand.
  FailedRun failed_run(const AttemptEffects& effects, bool is_local) const;
  Task<Duration> count_failure(const Error& error, std::int64_t now_ms);
  bool bury_untold(const Error& error);
  Async<void> note_parked(const Error& error);
  Async<void> tell_callers_of_parked(const Error& error);
  // Limits of the type (batch_limits.cc).
  // True: there are no tokens to run its messages, and the entity waits for some.
  bool waits_for_tokens();
  // True, and they are gone: this process did not run for long.
  bool are_tokens_late();
  void look_for_refusal();
  void spend_tokens(std::size_t count);
  void give_tokens_back();
  // With the lock that the attempt takes. False: there is no place for it.
  Async<bool> take_place(Transaction& transaction);
  bool wait_for_place(const AttemptEffects& effects);
  void wait_for_limit(Throttle::For what);
  // What this program cannot do with is left to others (batch_leave.cc).
  // Null: there is none.
  const QueuedMessage* first_message() const;
  // True: the first message of the queue is one that no callback takes.
  bool begins_with_unknown() const;
  bool begins_with_expiry() const;
  Async<bool> leave_message(const AttemptEffects& effects);
  Async<void> leave_state(const Error& error);
  // True: the locked message, whose holder may be gone, is one that this program cannot handle.
  Async<bool> leave_lock();
  Async<void> leave(const Needs& needs, const LeftAlone::Left& left, const Error& why);
  // Sends the operation at this place, or all, through the queue.
  void reroute(std::size_t place);
  void reroute_all();

  const ServedBehaviour& served_;
  HostCore& core_;
  const std::shared_ptr<const Target>& target_;
  Desk& desk_;
  Entity& entity_;
  EntityTurn& turn_;
  std::vector<Operation> operations_;
  bool queue_noticed_;

  std::size_t limit_ = kNoMessageLimit;  // messages that the next attempt may run
  std::optional<Burial> burial_;
  FailedRun failed_;             // the run that is resolved
  bool is_member_ = false;       // of a group
  bool may_be_sent_to_ = false;  // by others of it, in the same commit
  bool is_alone_ = false;        // has the permit to run a message that may end this process
  bool must_load_ = false;
  Tokens tokens_;              // to run messages; of a type with a rate
  Throttle::Refusal refusal_;  // of the first messages, which are over a limit
  bool clears_limit_note_ = false;
  int conflicts_ = 0;
  int too_old_ = 0;
  int undrained_batches_ = 0;
  BatchOutcome outcome_;
};

// What this host announced of the entity (announcement.h) was survived so far, and another may run
// it now.
Async<void> withdraw_announcement(const HostCore& core, const Target& target, Desk& desk);

}  // namespace semper::internal
