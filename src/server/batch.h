// Batch: what a slot's runner does with what waits, in as few transactions as it takes.
//
// An attempt is one transaction: the entity is read, or known; callbacks run on the queued
// messages, in order, then, once the queue is empty, on the works of this process; everything they
// asked for is written; and the works are answered when the commit has succeeded. What can not be
// done this way ends the attempt and changes the next one:
//
//   conflict             the same again, on what is stored now
//   a message fails      those before it, without it; then it alone; then, after
//                        HostOptions::message_attempts runs, it is set aside
//   more than the store takes at once   half as many messages; one that is too much alone is set
//                        aside, or its caller told
//   a work wants the lock, or to be answered later      it goes through the durable queue
//   the queue stays long                                 the works join it at its end
#pragma once

#include <optional>
#include <vector>

#include "entity.h"
#include "local_work.h"
#include "semper/env/asio.h"
#include "semper/server/context.h"

namespace semper::internal {

inline constexpr int kConflictAttempts = 50;

class Slot;

class Batch {
 public:
  enum class Notice : std::uint8_t { none, queue };  // the index says that the queue holds messages

  Batch(Slot& slot, std::vector<LocalWork> works, Notice notice, Executor executor);

  // To the end: all works are answered, or go through the queue.
  Task<void> run();

 private:
  struct Effects;

  // One transaction. True: nothing is left to do. Error: that of the remaining works.
  Async<bool> attempt();
  Async<bool> load(Transaction& transaction);
  void step_back_for_publishers();
  Async<bool> resolve_failure(Effects& effects);
  // The transaction of these effects is more than the store takes at once.
  Result<bool> resolve_overflow(const Effects& effects, const Error& error);
  void write(Transaction& transaction, Effects& effects);
  Async<bool> answer_unwritten(Effects& effects);
  bool finish(Effects& effects);
  Async<bool> resolve_conflict(const Effects& effects);
  // Takes the work at this place out and sends it through the queue.
  void reroute(std::size_t place);

  // Callbacks (batch_execute.cc).
  static bool is_time_to_look(const Effects& effects);
  static bool is_half_full(const Transaction& transaction, const Effects& effects);
  void execute(Transaction& transaction, Effects& effects);
  void run_queued(Transaction& transaction, Effects& effects);
  bool run_message(const QueuedMessage& message, Transaction& transaction, Effects& effects);
  void bury(const QueuedMessage& message, const Error& reason, Effects& effects) const;
  void run_local(Transaction& transaction, Effects& effects);
  enum class Ran : std::uint8_t { yes, failed, needs_queue };
  Ran run_work(const LocalWork& work, Transaction& transaction, Effects& effects);

  Slot& slot_;
  Entity& entity_;
  std::vector<LocalWork> works_;
  bool queue_noticed_;
  const Executor executor_;

  std::size_t limit_ = kNoLimit;    // messages that the next attempt may run
  std::optional<Error> bury_head_;  // set the first queued message aside, for this reason
  bool must_load_ = false;
  int conflicts_ = 0;
  int undrained_batches_ = 0;

  static constexpr std::size_t kNoLimit = ~std::size_t{0};
};

}  // namespace semper::internal
