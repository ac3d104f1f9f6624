// Execution: runs the callbacks of one attempt of a Batch. Nothing here commits.
//
// Queued messages come first, in order, then, once the queue is empty, ticks that a group delivers
// (due_ticks.h) and the operations of this process, until a limit is reached (the host's, the
// store's, the attempt's), one fails, or one asks for the lock or to be stopped. What they came to
// lies in an AttemptEffects, for the batch to write.
#pragma once

#include <optional>
#include <vector>

#include "server/format/key_book.h"
#include "server/format/replies.h"
#include "server/format/timer_book.h"
#include "server/send/operation.h"
#include "server/serve/burial.h"
#include "server/serve/callbacks.h"
#include "server/serve/desk.h"
#include "server/serve/held_lock.h"

namespace semper::internal {

// What a reply's key takes besides the session, at most, once for the write and once for the
// conflict.
inline constexpr std::size_t kReplyKeyBytes = 64;

// What the callbacks of one attempt have asked for.
struct AttemptEffects {
  bool was_known = false;    // the attempt began without reading
  QueuePlace head;           // the first message of the queue, where there is one
  bool head_buried = false;  // that one was set aside instead of run
  bool was_told = false;     // of that, by handle_dead_letter
  bool telling_failed = false;
  bool is_unfit = false;            // the failed message: no callback takes it
  Duration ran_for{};               // in callbacks
  MonotonicTime until{};            // no further message begins
  std::uint64_t to_refuse = 0;      // of the queue, the first ones,
  std::optional<Error> over_limit;  // which are over this
  std::size_t executed = 0;
  std::size_t popped = 0;
  std::size_t finished_segments = 0;
  std::uint32_t head_offset = 0;
  bool drained = false;  // nothing is left of the queue that was read
  bool vacated = false;  // the index entry is taken away
  bool cleared = false;  // so is the announcement

  const std::vector<DueEntry>* due = nullptr;  // to be delivered past the queue
  std::size_t ticks_run = 0;                   // of those, the first ones

  // Of a type whose entities expire (expiry.h).
  bool is_active = false;       // a message ran that was sent, not one of a timer
  bool others_wait = false;     // operations of this process
  bool may_expire = false;      // nothing that is stored keeps it
  bool expires = false;         // it is removed by this commit
  bool was_told_to_go = false;  // by handle_expiry
  bool knew_expiry = false;     // when the attempt began

  std::size_t operations_run = 0;
  std::size_t messages_beyond = 0;     // of those, past the first of each
  std::vector<Result<Bytes>> answers;  // of the operations run
  bool reroute = false;                // the operation after those must go through the queue

  std::vector<OutgoingReply> replies;
  AfterCommit after;
  std::vector<DeadLetterRecord> dead_letters;
  // Calls that no callback will ever take. Whoever hears it in a reply has the message; the others
  // become dead letters.
  struct Refusal {
    std::size_t reply;  // place in `replies`
    DeadLetterRecord letter;
  };
  std::vector<Refusal> refusals;
  std::optional<HeldLock> lock;
  std::size_t reply_bytes = 0;  // of `replies`, with their keys
  CallbackSends sends;
  std::optional<MonotonicTime> commit_began;  // where there are spans
  TimerBook timers;
  KeyBook keys;

  // A callback has begun, and waits: of the message after the executed ones.
  std::optional<Ran> waiting;
  Event waiting_for = Event::cast;
  std::size_t messages_run = 0;         // of the operation in hand, whose callbacks have ended
  Result<Bytes> last_answer = Bytes();  // of those

  std::optional<Error> unknown;  // there is no callback for the message after the executed ones
  std::optional<Error> failure;  // of the message after the executed ones
  bool failure_is_local = false;
  bool failure_is_of_tick = false;  // of `due`

  void reply(const ReplyToken& to, Bytes encoded) {
    reply_bytes += to.session.size() + encoded.size() + kReplyKeyBytes;
    replies.push_back({to, std::move(encoded)});
  }
  // Messages that were processed.
  std::size_t messages() const { return executed + messages_beyond; }
  // Messages and operations that ran, with the one that asked for the lock.
  std::size_t ran() const { return executed + (lock ? 1 : 0); }
  bool uses_keys() const { return !sends.keyed_answers.empty() || !keys.is_empty(); }
  bool uses_timers() const { return !sends.timers.empty() || !timers.is_empty(); }
  bool has_rows_apart() const {
    return uses_keys() || uses_timers() || !replies.empty() || !dead_letters.empty();
  }
  // What ran has found the queue empty, and must not have been overtaken by what came meanwhile.
  bool claims_queue() const { return operations_run > 0 || ticks_run > 0 || vacated; }
  // The queue is empty when this has committed.
  bool empties_queue() const { return drained && sends.to_itself == 0; }
};

class Execution {
 public:
  // Borrows all. `most`: messages and operations of this attempt.
  Execution(const ServedBehaviour& served, const Target& target, Desk& desk,
            const std::optional<Burial>& burial, std::size_t most)
      : served_(served),
        target_(target),
        desk_(desk),
        entity_(desk.entity),
        callbacks_(served, target, desk.entity),
        burial_(burial),
        most_(most) {}

  // Returns early where a callback waits (`effects.waiting`): then finish() and resume() go on.
  void run(Transaction& transaction, const std::vector<Operation>& operations,
           AttemptEffects& effects) const;
  // Of the ticks and the keyed messages that this attempt may handle, before it runs.
  Async<void> look_ahead(Transaction& transaction, AttemptEffects& effects) const;
  // The same, of operations with keys (execution_keys.cc).
  Async<void> look_at_keys(Transaction& transaction, const std::vector<Operation>& operations,
                           AttemptEffects& effects) const;
  // What came of keys is written; whoever waits for them gets replies.
  Async<void> settle_keys(Transaction& transaction, AttemptEffects& effects) const;
  // What the callbacks have asked of timers, and what became of their ticks, is written.
  Async<void> settle_timers(Transaction& transaction, AttemptEffects& effects) const;
  Task<Ran> finish(MonotonicTime transaction_began, AttemptEffects& effects) const;
  void resume(Transaction& transaction, const std::vector<Operation>& operations, Ran ran,
              AttemptEffects& effects) const;
  // The replies at these places find nobody: refused calls among them become dead letters.
  void keep_unheard(const std::vector<std::size_t>& places, AttemptEffects& effects) const;

 private:
  enum class Ended : std::uint8_t { yes, failed, needs_queue, waits, later };
  enum class TickIs : std::uint8_t { due, dropped, unknown };
  enum class KeyIs : std::uint8_t { free, settled, unknown };

  static bool is_half_full(const Transaction& transaction, const AttemptEffects& effects);
  TickIs begin_tick(const TickRecord& tick, AttemptEffects& effects) const;
  KeyAddress key_of(const RawMessage& message, const MessageKey& key) const;
  // `free`: it is to be run. `settled`: it was answered, or set aside. `unknown`: in the next
  // attempt.
  KeyIs begin_key(const QueuedMessage& message, AttemptEffects& effects) const;
  void end_key(const QueuedMessage& message, const Ran& ran, const Limits& limits,
               AttemptEffects& effects) const;
  void fail_key(const QueuedMessage& message, const Bytes& told, AttemptEffects& effects) const;
  void forget_key(const QueuedMessage& message, const Error& why, AttemptEffects& effects) const;
  Async<void> look_at_key(Transaction& transaction, const RawMessage& message,
                          const MessageKey& key, AttemptEffects& effects) const;
  ReplyToken token_of(const QueuedMessage& message) const;
  // `later`: in the next attempt.
  enum class LocalKey : std::uint8_t { free, settled, later, needs_queue };
  LocalKey begin_key(const Operation& operation, AttemptEffects& effects) const;
  void end_key(const Operation& operation, const Result<Bytes>& answer, const Limits& limits,
               AttemptEffects& effects) const;
  static void tell_waiting(const KeyBook::Told& told, const Limits& limits,
                           AttemptEffects& effects);
  // `ran`: what came of the first callback, where that is known already.
  using Known = std::optional<Ran>;
  void go_on(Transaction& transaction, const std::vector<Operation>& operations, Known ran,
             AttemptEffects& effects) const;
  void run_queued(Transaction& transaction, Known& ran, AttemptEffects& effects) const;
  bool run_expiry(Transaction& transaction, AttemptEffects& effects) const;
  bool run_message(const QueuedMessage& message, Transaction& transaction, Known& ran,
                   AttemptEffects& effects) const;
  void run_ticks(Transaction& transaction, AttemptEffects& effects) const;
  void run_local(Transaction& transaction, const std::vector<Operation>& operations, Known& ran,
                 AttemptEffects& effects) const;
  Ended run_operation(const Operation& operation, Transaction& transaction, Known& ran,
                      AttemptEffects& effects) const;
  bool refuse(const QueuedMessage& message, const Error& reason, AttemptEffects& effects) const;
  bool may_turn_away(const QueuedMessage& message) const;
  bool turn_away(const QueuedMessage& message, AttemptEffects& effects) const;
  bool bury_head(const QueuedMessage& message, Transaction& transaction,
                 AttemptEffects& effects) const;
  void bury(const QueuedMessage& message, const Burial& burial, AttemptEffects& effects) const;
  void set_aside(DeadLetterRecord letter, AttemptEffects& effects) const;

  const ServedBehaviour& served_;
  const Target& target_;
  const Desk& desk_;
  Entity& entity_;
  const CallbackRunner callbacks_;
  const std::optional<Burial>& burial_;
  const std::size_t most_;
};

}  // namespace semper::internal
