// CallbackRunner: runs a message's callback on an entity's state, and reads what came of it. The
// only place that does, whether the message came through the queue, from this process, or with
// priority.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/server/context.h"
#include "semper/server/message.h"
#include "server/send/open_span.h"
#include "server/serve/entity.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

// A run of a message that belongs to a trace.
struct TracedRun {
  TracePointer sent;               // as the message says
  TracePointer trace;              // of what the run sends
  std::unique_ptr<OpenSpan> span;  // null: none is recorded
  std::int64_t since_us = 0;       // as of end_run()
};

// What came of one callback.
struct Ran {
  enum class How : std::uint8_t {
    done,
    wants_lock,
    failed,   // it, init or a codec did; the next run may not
    unfit,    // the callback cannot take this message: it never will
    unknown,  // this program has no callback for it; another may
    refused,  // what it sends cannot be sent, nor the next time
    waits,    // it has begun, and returned an awaitable
  };
  How how = How::done;
  std::optional<Error> error;           // of the last four
  std::optional<Result<Bytes>> answer;  // of a call, unless it is answered later
  std::optional<std::string> stop_reason;
  std::vector<Action> actions;
  std::optional<asio::awaitable<Result<Handled>>> rest;  // of one that waits
  struct Lent {
    std::optional<Tick> tick;
    std::vector<Action> after_commit;
    ChainPointer chain;  // of those that wait for it
    std::unique_ptr<TracedRun> traced;
  };
  std::unique_ptr<Lent> lent;  // to that one
};

// In order, until one halts; what fails is logged.
void run_actions(const std::vector<Action>& actions, const EntityId& id, const void* state);
// Tells the behaviour that the entity leaves this process's memory; what fails is logged.
void run_terminate(Behaviour& behaviour, const EntityId& id, const void* state,
                   const std::string& reason);

// What callbacks asked for that follows the commit of their transaction.
struct AfterCommit {
  std::vector<std::vector<Action>> actions;  // of each that had some
  std::optional<std::string> stop_reason;

  void add(Ran& ran);
  bool is_nothing() const { return actions.empty() && !stop_reason; }
};

Tick tick_of(const TickRecord& record);

class CallbackRunner {
 public:
  // Borrows all three.
  CallbackRunner(const ServedBehaviour& served, const Target& target, Entity& entity)
      : served_(served), target_(target), entity_(entity) {}

  // `sends`: of the whole transaction; what it says was refused stays refused.
  // `tick`: of a timer's message. `since_us`: see end_run().
  Ran run(Transaction& transaction, Event event, const RawMessage& message, ReplyToken caller,
          CallbackSends& sends, const TickRecord* tick = nullptr, std::int64_t since_us = 0) const;
  // The calendar of the whole transaction, read once.
  WallTime now(CallbackSends& sends) const;
  // Of a message that is set aside. Nothing: there is no state to tell it of, since init refuses.
  std::optional<Ran> run_dead_letter(Transaction& transaction, const DeadLetterInfo& letter,
                                     CallbackSends& sends) const;
  // Of an entity that nobody has sent anything.
  Ran run_expiry(Transaction& transaction, CallbackSends& sends) const;
  // Waits for the rest of one that waits: until what is left of the transaction's time is needed
  // for its commit; then the rest is cancelled, and the message has failed. Never returns while it
  // still runs.
  Task<Ran> finish(Ran begun, Event event, MonotonicTime transaction_began,
                   CallbackSends& sends) const;
  // Once the transaction has committed. A stopped entity leaves this process's memory.
  void follow_up(const AfterCommit& after) const;

 private:
  ContextFields fields(Transaction& transaction, Event event, ReplyToken caller,
                       CallbackSends& sends, std::vector<Action>& after_commit) const;
  std::unique_ptr<TracedRun> begin_traced(const RawMessage& message, std::int64_t since_us,
                                          CallbackSends& sends) const;
  void end_traced(const TracedRun& traced, const Ran& ran, CallbackSends& sends) const;
  static Ran outcome(Event event, Result<Handled>&& handled, const CallbackSends& sends,
                     std::vector<Action>&& after_commit);
  Ran unknown(const RawMessage& message, Event event) const;

  const ServedBehaviour& served_;
  const Target& target_;
  Entity& entity_;
};

}  // namespace semper::internal
