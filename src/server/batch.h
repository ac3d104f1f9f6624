// Batch: what a slot's runner does with what waits, in as few transactions as it takes.
//
// An attempt is one transaction: the entity is read, or known; callbacks run on the queued
// messages, in order, then, once the queue is empty, on the works of this process; everything they
// asked for is written; and the works are answered when the commit has succeeded. What can not be
// done this way ends the attempt and changes the next one:
//
//   conflict             the same again, on what is stored now, with half as many messages
//   a message fails      those before it, without it; then it alone; then, after
//                        HostOptions::message_attempts runs, it is set aside. Whatever fails is
//                        counted: init, a codec, the callback, a transaction that took too long
//   more than the store takes at once   half as many messages; one that is too much alone is set
//                        aside, or its caller told
//   a work wants the lock, or to be answered later      it goes through the durable queue
//   the queue stays long                                 the works join it at its end
//
// Errors of the store itself (io, retry, closed) are nobody's attempt: the queue waits.
#pragma once

#include <optional>
#include <vector>

#include "entity.h"
#include "local_work.h"
#include "semper/env/asio.h"
#include "semper/server/context.h"
#include "slot.h"

namespace semper::internal {

inline constexpr int kConflictAttempts = 50;

struct DeadLetterRecord;

class Batch {
 public:
  enum class Notice : std::uint8_t { none, queue };  // the index says that the queue holds messages

  // For the runner with this turn, on its desk.
  Batch(Slot& slot, std::shared_ptr<Desk> desk, std::uint64_t turn, std::vector<LocalWork> works,
        Notice notice);
  // Where the loop that runs it is destroyed in the middle, callers of other loops get outcome_unknown.
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // To the end: all works are answered, or go through the queue, or back to the slot where the turn was
  // lost.
  Task<void> run();

 private:
  struct Effects;

  // One transaction. True: nothing is left to do. Error: that of the remaining works.
  Async<bool> attempt();
  Async<bool> load(Transaction& transaction);
  void step_back_for_publishers();
  // True: the first message of the queue may be run (suspicion.h). False: begin the attempt anew.
  Async<bool> announce();
  Async<bool> wait_to_run_alone();
  // The queue that has no room for what this attempt sends, if there is one.
  Async<std::optional<EntityId>> find_full(Transaction& transaction, const Effects& effects);
  Status write(Transaction& transaction, Effects& effects);
  Async<bool> answer_unwritten(Effects& effects);
  bool finish(Effects& effects);
  // After the commit, while the turn lasts.
  void run_actions(Effects& effects);
  void answer(Effects& effects);
  bool may_run_callbacks();
  Async<void> pause(Duration duration);

  // What did not go as it should (batch_resolve.cc). Results as of attempt().
  enum class Again : std::uint8_t { yes, no };
  Async<bool> resolve_failure(Effects& effects);
  Async<bool> resolve_error(Effects& effects, Error error);
  Async<bool> resolve_refusal(Effects& effects, Error error);
  Async<bool> resolve_full(Effects& effects, const EntityId& full);
  Async<bool> resolve_conflict(const Effects& effects);
  Async<bool> fail_alone(const Effects& effects, bool is_local, Error error, Again again);
  Async<void> note_parked(const Error& error);
  Async<void> tell_callers_of_parked(const Error& error);
  // Takes the work at this place out and sends it through the queue.
  void reroute(std::size_t place);

  // Callbacks (batch_execute.cc).
  std::size_t limit() const;
  static bool is_half_full(const Transaction& transaction, const Effects& effects);
  void execute(Transaction& transaction, Effects& effects);
  void run_queued(Transaction& transaction, Effects& effects);
  bool run_message(const QueuedMessage& message, Transaction& transaction, Effects& effects);
  void refuse(const QueuedMessage& message, const Error& reason, Effects& effects) const;
  void bury(const QueuedMessage& message, const Error& reason, Effects& effects) const;
  DeadLetterRecord letter_of(const QueuedMessage& message, const Error& reason) const;
  void set_aside(DeadLetterRecord letter, Effects& effects) const;
  void keep_unheard(const std::vector<std::size_t>& places, Effects& effects) const;
  void run_local(Transaction& transaction, Effects& effects);
  enum class Ran : std::uint8_t { yes, failed, needs_queue };
  Ran run_work(const LocalWork& work, Transaction& transaction, Effects& effects);

  Slot& slot_;
  const std::shared_ptr<Desk> desk_;
  Entity& entity_;
  const std::uint64_t turn_;
  std::vector<LocalWork> works_;
  bool queue_noticed_;

  std::size_t limit_ = kNoMessageLimit;  // messages that the next attempt may run
  // Set this message aside, for this reason, if it is still the first of the queue.
  struct Burial {
    QueuePlace place;
    Error reason;
  };
  std::optional<Burial> burial_;
  bool is_alone_ = false;  // has the permit to run a message that may end this process
  bool must_load_ = false;
  int conflicts_ = 0;
  int undrained_batches_ = 0;
};

}  // namespace semper::internal
