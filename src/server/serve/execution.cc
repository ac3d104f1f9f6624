#include "server/serve/execution.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/cancelled_casts.h"
#include "server/format/dead_letter_mark.h"
#include "server/format/enqueue.h"
#include "server/serve/expiry.h"
#include "server/serve/letters.h"

namespace semper::internal {
namespace {

// Of a timer that is set: the row, the due index, their counters, and the entry before.
constexpr std::size_t kOperationsPerTimer = 6;
// Of an idempotency key: the row, the expiry index, what was there before, the count.
constexpr std::size_t kOperationsPerKey = 6;

std::string_view event_name(Event event) {
  return event == Event::call ? "call " : "cast ";
}

}  // namespace

bool Execution::is_half_full(const Transaction& transaction, const AttemptEffects& effects) {
  const auto& limits = transaction.limits();
  const std::size_t bytes =
      transaction.size_bytes() + effects.reply_bytes + effects.keys.size_bytes();
  return bytes > limits.transaction_bytes / 2 ||
         transaction.operation_count() + effects.replies.size() >
             limits.transaction_operations / 2 ||
         effects.sends.segments > kSegmentsPerTransaction / 2 ||
         effects.dead_letters.size() >= kSegmentsPerTransaction / 2 ||
         effects.sends.timer_bytes > limits.transaction_bytes / 4 ||
         effects.sends.timers.size() * kOperationsPerTimer > limits.transaction_operations / 4 ||
         effects.keys.changed() * kOperationsPerKey > limits.transaction_operations / 4;
}

void Execution::run(Transaction& transaction, const std::vector<Operation>& operations,
                    AttemptEffects& effects) const {
  effects.head_offset = entity_.header().head_offset;
  effects.until = served_.core().clock().after(served_.core().options.batch_time);
  if (!entity_.segments().empty()) {
    const auto stamp = EntityKeys::stamp_in(entity_.segments().front().key);
    if (stamp) effects.head = {*stamp, effects.head_offset};
  }
  go_on(transaction, operations, std::nullopt, effects);
}

Task<Ran> Execution::finish(MonotonicTime transaction_began, AttemptEffects& effects) const {
  const Clock& clock = served_.core().clock();
  const MonotonicTime began = clock.now();
  Ran begun = std::move(*std::exchange(effects.waiting, std::nullopt));
  Ran ran = co_await callbacks_.finish(std::move(begun), effects.waiting_for, transaction_began,
                                       effects.sends);
  effects.ran_for += clock.now() - began;
  co_return ran;
}

void Execution::resume(Transaction& transaction, const std::vector<Operation>& operations, Ran ran,
                       AttemptEffects& effects) const {
  go_on(transaction, operations, std::move(ran), effects);
}

void Execution::go_on(Transaction& transaction, const std::vector<Operation>& operations, Known ran,
                      AttemptEffects& effects) const {
  const Clock& clock = served_.core().clock();
  const MonotonicTime began = clock.now();
  if (effects.due != nullptr && SEMPER_MUTANT("server_timer_tick_overtakes_the_queue")) {
    run_ticks(transaction, effects);
  }
  if (served_.consumes()) run_queued(transaction, ran, effects);
  const bool interrupted = effects.waiting || effects.failure || effects.lock ||
                           effects.after.stop_reason || (effects.executed >= most_ && !ran);
  effects.drained =
      entity_.has_all_segments() && effects.finished_segments == entity_.segments().size();
  if (!interrupted && effects.drained && effects.due != nullptr) run_ticks(transaction, effects);
  if (!interrupted && effects.drained) run_local(transaction, operations, ran, effects);
  effects.ran_for += clock.now() - began;
}

void Execution::run_queued(Transaction& transaction, Known& ran, AttemptEffects& effects) const {
  auto& core = served_.core();
  const std::size_t most = std::min(most_, core.options.batch_messages);
  while (effects.finished_segments < entity_.segments().size()) {
    auto& segment = entity_.segments()[effects.finished_segments];
    while (effects.head_offset < segment.messages.size()) {
      const bool over = effects.executed >= most ||
                        (effects.executed > 0 && core.clock().now() >= effects.until) ||
                        is_half_full(transaction, effects);
      if (over && !ran) return;
      const QueuedMessage& message = segment.messages[effects.head_offset];
      // That it is alone is what it asks for.
      if (is_expiry(message) && effects.executed > 0) return;
      const bool is_tick = message.tick && !ran;  // one that has run is begun
      if (is_tick && message.key && !effects.keys.knows(key_of(message.content, *message.key))) {
        return;
      }
      const TickIs tick = is_tick ? begin_tick(*message.tick, effects) : TickIs::due;
      const bool has_key = message.key && !ran && tick == TickIs::due;
      const KeyIs key = has_key ? begin_key(message, effects) : KeyIs::free;
      if (tick == TickIs::unknown || key == KeyIs::unknown) return;
      if (tick == TickIs::dropped || key == KeyIs::settled) {
        // Its timer was cancelled or replaced since, or its key is not new: it goes, unhandled.
      } else if (effects.executed == 0 && burial_ && burial_->place == effects.head) {
        if (!bury_head(message, transaction, effects)) return;
      } else if (effects.executed < effects.to_refuse && may_turn_away(message)) {
        if (!turn_away(message, effects)) return;
      } else if (is_expiry(message)) {
        if (!run_expiry(transaction, effects)) return;
      } else if (!run_message(message, transaction, ran, effects)) {
        return;
      }
      ++effects.executed;
      ++effects.popped;
      ++effects.head_offset;
      if (effects.after.stop_reason) break;
    }
    if (effects.head_offset < segment.messages.size()) return;
    ++effects.finished_segments;
    effects.head_offset = 0;
    if (effects.after.stop_reason) return;
  }
}

// Nobody has sent the entity anything, or it was not found out until now that somebody has. False:
// handle_expiry failed.
bool Execution::run_expiry(Transaction& transaction, AttemptEffects& effects) const {
  const ExpiryRules& rules = served_.expiry();
  if (!rules.is_any()) return true;  // any more
  auto& sends = effects.sends;
  bool stays = !effects.may_expire || effects.others_wait || desk_.kept_expired == effects.head;
  if (stays && SEMPER_MUTANT("server_expiry_whatever_waits")) stays = false;
  if (!stays && rules.has_callback && entity_.has_state()) {
    Ran ran = callbacks_.run_expiry(transaction, sends);
    effects.was_told_to_go = true;
    if (ran.error) {
      effects.failure = std::move(ran.error);
      return false;
    }
    effects.after.add(ran);
    effects.after.stop_reason.reset();
    // It has sent itself something.
    stays = sends.to_itself > 0 || !sends.timers.empty();
  }
  effects.expires = !stays;
  if (stays) sends.timers.push_back(put_expiry_off(rules, to_timer_ms(callbacks_.now(sends))));
  return true;
}

Async<void> Execution::look_ahead(Transaction& transaction, AttemptEffects& effects) const {
  std::size_t at = entity_.header().head_offset;
  const auto& segments = entity_.segments();
  if (!segments.empty() && at < segments.front().messages.size() &&
      is_expiry(segments.front().messages[at]) && entity_.queue_length() == 1) {
    SEMPER_CO_TRY(effects.may_expire,
                  co_await internal::may_expire(transaction, target_.keys, served_.expiry()));
  }
  std::size_t looked = 0;
  std::size_t keys = 0;
  const TimerBook::Place place{transaction, transaction, target_.keys};
  for (const auto& segment : entity_.segments()) {
    for (; at < segment.messages.size(); ++at) {
      const auto& message = segment.messages[at];
      if (message.key && keys++ < kKeysPerLook) {
        SEMPER_CO_TRY_STATUS(
            co_await look_at_key(transaction, message.content, *message.key, effects));
      }
      const auto& tick = message.tick;
      if (!tick || effects.timers.knows(tick->timer)) continue;
      if (looked++ == kTicksPerLook) co_return Status{};
      SEMPER_CO_TRY_STATUS(co_await effects.timers.look(place, tick->timer));
    }
    at = 0;
  }
  co_return Status{};
}

Async<void> Execution::settle_timers(Transaction& transaction, AttemptEffects& effects) const {
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  effects.timers.note(effects.sends.timers, now);
  // One that began at a version that is not the newest cannot read.
  std::optional<Transaction> newest;
  if (effects.was_known) newest.emplace(served_.core().store().begin());
  Transaction& reader = newest ? *newest : transaction;
  SEMPER_CO_TRY_STATUS(co_await effects.timers.settle({transaction, reader, target_.keys}, now));
  if (!effects.timers.has_cancelled()) co_return Status{};
  const KeyBook::Place place{transaction, reader, target_.tenant.prefix()};
  co_return co_await forget_cancelled(effects.timers, effects.keys, place, target_.id);
}

Execution::TickIs Execution::begin_tick(const TickRecord& tick, AttemptEffects& effects) const {
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  effects.timers.note(effects.sends.timers, now);
  if (!effects.timers.knows(tick.timer)) return TickIs::unknown;
  return effects.timers.begin(tick, now) ? TickIs::due : TickIs::dropped;
}

// When it began to wait, by the sender's calendar; 0: it is not traced.
std::int64_t sent_us(const QueuedMessage& message) {
  if (!message.content.trace) return 0;
  return message.tick ? message.tick->actual_ms * 1'000 : message.content.trace->sent_us;
}

// Runs one queued message. False: it failed, or asked for the lock, and stays where it is.
bool Execution::run_message(const QueuedMessage& message, Transaction& transaction, Known& known,
                            AttemptEffects& effects) const {
  if (!message.tick) effects.is_active = true;
  Ran ran = known ? std::move(*std::exchange(known, std::nullopt))
                  : callbacks_.run(transaction, message.event, message.content, token_of(message),
                                   effects.sends, message.tick.get(), sent_us(message));
  switch (ran.how) {
    case Ran::How::failed:
    case Ran::How::refused:
      effects.failure = std::move(ran.error);
      return false;
    case Ran::How::unknown:
      if (served_.left_alone().wait() > Duration(0) && message.content.name != kExpiryMessage &&
          !SEMPER_MUTANT("server_unknown_message_set_aside_at_once")) {
        if (message.tick) effects.timers.keep(*message.tick);
        effects.unknown = std::move(ran.error);
        return false;
      }
      [[fallthrough]];
    case Ran::How::unfit:
      return refuse(message, *ran.error, effects);
    case Ran::How::waits:
      ran.lent->chain = message.chain;
      effects.waiting_for = message.event;
      effects.waiting = std::move(ran);
      return false;
    case Ran::How::wants_lock:
      if (message.tick) effects.timers.keep(*message.tick);
      effects.lock = HeldLock{served_.core().env().random->next(), message, {}, 1, 0};
      return false;
    case Ran::How::done:
      break;
  }
  effects.after.add(ran);
  if (message.key) {
    end_key(message, ran, transaction.limits(), effects);
  } else if (ran.answer && *ran.answer) {
    effects.reply(message.caller, encode_reply_within(**ran.answer, transaction.limits()));
  } else if (ran.answer) {
    effects.reply(message.caller, encode_reply_error(ran.answer->error()));
  }
  return true;
}

// No callback has run, and none will ever take it. A caller gets the message's mistake in a reply
// and can send it again; a cast has nobody. False: the entity is to be told of it, alone.
bool Execution::refuse(const QueuedMessage& message, const Error& reason,
                       AttemptEffects& effects) const {
  const Burial burial{effects.head, reason};
  if (message.event == Event::call) {
    effects.refusals.push_back(
        {effects.replies.size(), letter_of(message, burial, served_.core().clock().wall_time())});
    effects.reply(message.caller, encode_reply_error(reason));
    if (message.key) forget_key(message, reason, effects);
    return true;
  }
  if (served_.letters().has_callback) {
    effects.failure = reason;
    effects.is_unfit = true;
    return false;
  }
  bury(message, burial, effects);
  return true;
}

// What this program does not know waits for one that does.
bool Execution::may_turn_away(const QueuedMessage& message) const {
  if (SEMPER_MUTANT("server_unknown_message_turned_away")) return true;
  return served_.behaviour().takes(message.content.name, message.event);
}

// It is over a limit. Of a call nothing is kept, whether its caller is there or not.
bool Execution::turn_away(const QueuedMessage& message, AttemptEffects& effects) const {
  const Error& why = *effects.over_limit;
  if (message.event != Event::call) return refuse(message, why, effects);
  effects.reply(message.caller, encode_reply_error(why));
  if (message.key) forget_key(message, why, effects);
  return true;
}

void Execution::keep_unheard(const std::vector<std::size_t>& places,
                             AttemptEffects& effects) const {
  for (auto& refusal : effects.refusals) {
    if (std::binary_search(places.begin(), places.end(), refusal.reply)) {
      set_aside(std::move(refusal.letter), effects);
    }
  }
}

// False: handle_dead_letter failed, and the message stays where it is.
bool Execution::bury_head(const QueuedMessage& message, Transaction& transaction,
                          AttemptEffects& effects) const {
  bury(message, *burial_, effects);
  if (served_.letters().has_callback && burial_->tell == Burial::Tell::yes) {
    const DeadLetterInfo letter = letter_info(effects.dead_letters.back(), burial_->reason);
    auto told = callbacks_.run_dead_letter(transaction, letter, effects.sends);
    if (told && told->error && !SEMPER_MUTANT("server_failed_telling_half_committed")) {
      effects.failure = std::move(told->error);
      effects.telling_failed = true;
      return false;
    }
    effects.was_told = told.has_value();
    if (told) effects.after.add(*told);
  }
  if (burial_->tell == Burial::Tell::no && SEMPER_MUTANT("server_untold_letter_lost")) {
    effects.dead_letters.pop_back();
  }
  effects.head_buried = true;
  return true;
}

// A call's caller gets the error, too.
void Execution::bury(const QueuedMessage& message, const Burial& burial,
                     AttemptEffects& effects) const {
  const bool call = message.event == Event::call;
  if (call || message.key) {
    const Bytes told = encode_reply_error(as_dead_letter(burial.reason, burial.attempts));
    if (call) effects.reply(message.caller, told);
    if (message.key) fail_key(message, told, effects);
  }
  set_aside(letter_of(message, burial, served_.core().clock().wall_time()), effects);
}

void Execution::set_aside(DeadLetterRecord letter, AttemptEffects& effects) const {
  const auto& message = letter.message;
  log_warning("server", target_.id.to_string() + ": " + std::string(event_name(message.event)) +
                            message.content.name + " was set aside: " + letter.reason);
  effects.dead_letters.push_back(std::move(letter));
}

// Of timers that have no tick in the queue. Each is fired when its turn has come, not before: one
// that is not run, because there is no more time, or because a callback before it has cancelled it,
// is as it was.
void Execution::run_ticks(Transaction& transaction, AttemptEffects& effects) const {
  auto& core = served_.core();
  Known none;
  while (effects.ticks_run < effects.due->size()) {
    const bool over = effects.executed >= most_ ||
                      (effects.executed > 0 && core.clock().now() >= effects.until) ||
                      is_half_full(transaction, effects);
    if (over || effects.after.stop_reason) return;
    const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
    effects.timers.note(effects.sends.timers, now);
    const auto sent = effects.timers.fire((*effects.due)[effects.ticks_run], now);
    if (!sent) return;
    if (SEMPER_MUTANT("server_timer_tick_delivered_and_queued")) {
      Enqueuer enqueuer(transaction, effects.sends.segments++);
      enqueuer.to(target_.keys);
      enqueuer.add(Event::cast, sent->content, {}, sent->tick.get());
      enqueuer.finish();
    } else {
      effects.timers.begin(*sent->tick, now);
    }
    if (!run_message(*sent, transaction, none, effects)) {
      // Sent, and not handled: nothing of this may be committed.
      if (effects.unknown) effects.failure = std::exchange(effects.unknown, std::nullopt);
      effects.failure_is_of_tick = true;
      return;
    }
    ++effects.executed;
    ++effects.ticks_run;
  }
}

void Execution::run_local(Transaction& transaction, const std::vector<Operation>& operations,
                          Known& ran, AttemptEffects& effects) const {
  auto& core = served_.core();
  effects.answers.reserve(operations.size());
  while (effects.operations_run < operations.size()) {
    const bool over = effects.executed >= most_ ||
                      (effects.executed > 0 && core.clock().now() >= effects.until) ||
                      is_half_full(transaction, effects);
    if (!ran && (over || effects.after.stop_reason)) return;
    switch (run_operation(operations[effects.operations_run], transaction, ran, effects)) {
      case Ended::yes:
        ++effects.operations_run;
        ++effects.executed;
        break;
      case Ended::waits:
      case Ended::later:
        return;
      case Ended::failed:
        effects.failure_is_local = true;
        return;
      case Ended::needs_queue:
        effects.reroute = true;
        return;
    }
  }
}

Execution::Ended Execution::run_operation(const Operation& operation, Transaction& transaction,
                                          Known& known, AttemptEffects& effects) const {
  effects.is_active = true;
  const bool call = operation.event == Event::call;
  if (operation.key && !known) {
    switch (begin_key(operation, effects)) {
      case LocalKey::free:
        break;
      case LocalKey::settled:
        return Ended::yes;
      case LocalKey::later:
        return Ended::later;
      case LocalKey::needs_queue:
        return Ended::needs_queue;
    }
  }
  for (auto& done = effects.messages_run; done < operation.messages.size(); ++done) {
    Ran ran = known ? std::move(*std::exchange(known, std::nullopt))
                    : callbacks_.run(transaction, operation.event, operation.messages[done], {},
                                     effects.sends);
    if (ran.how == Ran::How::waits) {
      ran.lent->chain = operation.chain;
      effects.waiting_for = operation.event;
      effects.waiting = std::move(ran);
      return Ended::waits;
    }
    if (ran.error) {
      effects.failure = std::move(ran.error);
      return Ended::failed;
    }
    if (ran.how == Ran::How::wants_lock || (call && !ran.answer)) return Ended::needs_queue;
    effects.after.add(ran);
    if (ran.answer) effects.last_answer = std::move(*ran.answer);
  }
  effects.messages_run = 0;
  effects.messages_beyond += operation.messages.size() - 1;
  if (operation.key) end_key(operation, effects.last_answer, transaction.limits(), effects);
  effects.answers.push_back(std::move(effects.last_answer));
  if (call) effects.last_answer = Bytes();
  return Ended::yes;
}

}  // namespace semper::internal
