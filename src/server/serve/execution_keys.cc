// The part of an Execution that has to do with idempotency keys.
//
// A message with a key runs where it is the first one; otherwise it is answered with what is known
// of that one, and no callback runs. Repeated messages seldom come so far: who sends them finds the
// key's row (send/keyed_send.h). What an operation of this process cannot wait for goes through the
// queue.
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/timers.h"
#include "server/serve/execution.h"
#include "server/serve/letters.h"

namespace semper::internal {

KeyAddress Execution::key_of(const RawMessage& message, const MessageKey& key) const {
  return {target_.id, message.name, key.text};
}

ReplyToken Execution::token_of(const QueuedMessage& message) const {
  if (!message.key || message.event != Event::call) return message.caller;
  return key_token(key_of(message.content, *message.key), run_of(message.caller));
}

Async<void> Execution::look_at_key(Transaction& transaction, const RawMessage& message,
                                   const MessageKey& key, AttemptEffects& effects) const {
  const KeyAddress address = key_of(message, key);
  const KeyBook::Place place{transaction, transaction, target_.tenant.prefix()};
  co_return co_await effects.keys.look(place, address, KeyBook::Loaded::yes);
}

Async<void> Execution::look_at_keys(Transaction& transaction,
                                    const std::vector<Operation>& operations,
                                    AttemptEffects& effects) const {
  std::size_t looked = 0;
  for (const auto& operation : operations) {
    if (!operation.key) continue;
    if (looked++ == kKeysPerLook) co_return Status{};
    SEMPER_CO_TRY_STATUS(
        co_await look_at_key(transaction, operation.messages.front(), *operation.key, effects));
  }
  co_return Status{};
}

void Execution::tell_waiting(const KeyBook::Told& told, const Limits& limits,
                             AttemptEffects& effects) {
  std::vector<OutgoingReply> replies;
  tell(told, limits, replies);
  for (auto& reply : replies) effects.reply(reply.to, std::move(reply.encoded));
}

Execution::KeyIs Execution::begin_key(const QueuedMessage& message, AttemptEffects& effects) const {
  const KeyAddress address = key_of(message.content, *message.key);
  if (!effects.keys.knows(address)) return KeyIs::unknown;
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  const KeyBook::Sent sent{*message.key, message.event, message.caller};
  auto met = effects.keys.meet(address, sent, KeyBook::By::runner, now);
  using What = KeyBook::Meeting::What;
  if (met.what == What::first) return KeyIs::free;
  const bool call = message.event == Event::call;
  if (met.what == What::answered && call) effects.reply(message.caller, std::move(met.reply));
  if (met.what == What::refused && call) {
    effects.reply(message.caller, encode_reply_error(*met.error));
  } else if (met.what == What::refused) {
    const Burial burial{effects.head, *met.error};
    set_aside(letter_of(message, burial, served_.core().clock().wall_time()), effects);
  }
  return KeyIs::settled;
}

void Execution::end_key(const QueuedMessage& message, const Ran& ran, const Limits& limits,
                        AttemptEffects& effects) const {
  const KeyAddress address = key_of(message.content, *message.key);
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  const bool call = message.event == Event::call;
  std::optional<KeyBook::Told> told;
  if (call && !ran.answer) {
    told = effects.keys.wait(address, message.caller, now);
    if (!told) return;
  } else {
    Bytes reply;
    if (!call) {
      reply = encode_reply({});
    } else if (*ran.answer) {
      reply = encode_reply_within(**ran.answer, limits);
    } else {
      reply = encode_reply_error(ran.answer->error());
    }
    told = effects.keys.complete(address, std::move(reply), KeyRecord::State::done, now);
  }
  if (call) effects.reply(message.caller, told->reply);
  tell_waiting(*told, limits, effects);
}

// It is set aside: a repeat gets what its caller gets, until it is redriven.
void Execution::fail_key(const QueuedMessage& message, const Bytes& told,
                         AttemptEffects& effects) const {
  const KeyAddress address = key_of(message.content, *message.key);
  if (!effects.keys.knows(address)) return;
  if (!effects.keys.stands_for(address, *message.key, message.caller)) return;
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  const auto failed = effects.keys.complete(address, told, KeyRecord::State::failed, now);
  for (const auto& caller : failed.callers) effects.reply(caller, told);
}

void Execution::forget_key(const QueuedMessage& message, const Error& why,
                           AttemptEffects& effects) const {
  const KeyAddress address = key_of(message.content, *message.key);
  if (!effects.keys.stands_for(address, *message.key, message.caller)) return;
  for (const auto& caller : effects.keys.forget(address)) {
    effects.reply(caller, encode_reply_error(why));
  }
}

Execution::LocalKey Execution::begin_key(const Operation& operation,
                                         AttemptEffects& effects) const {
  const KeyAddress address = key_of(operation.messages.front(), *operation.key);
  if (!effects.keys.knows(address)) return LocalKey::later;
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  const ReplyToken nobody;
  const KeyBook::Sent sent{*operation.key, operation.event, nobody};
  // What waits in the queue has run before it: one that is not done is delayed.
  const auto by = SEMPER_MUTANT("server_repeat_runs_a_delayed_cast") ? KeyBook::By::runner
                                                                     : KeyBook::By::sender;
  auto met = effects.keys.meet(address, sent, by, now);
  const bool call = operation.event == Event::call;
  switch (met.what) {
    case KeyBook::Meeting::What::first:
      return LocalKey::free;
    case KeyBook::Meeting::What::attached:
      if (call) return LocalKey::needs_queue;
      effects.answers.push_back(Bytes());
      return LocalKey::settled;
    case KeyBook::Meeting::What::refused:
      effects.answers.push_back(fail(std::move(*met.error)));
      return LocalKey::settled;
    case KeyBook::Meeting::What::answered:
      break;
  }
  Result<Bytes> answer = Bytes();
  if (call) {
    auto reply = decode_reply(met.reply);
    answer = reply ? std::move(*reply) : Result<Bytes>(fail(reply.error()));
  }
  effects.answers.push_back(std::move(answer));
  return LocalKey::settled;
}

void Execution::end_key(const Operation& operation, const Result<Bytes>& answer,
                        const Limits& limits, AttemptEffects& effects) const {
  const KeyAddress address = key_of(operation.messages.front(), *operation.key);
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  Bytes reply;
  if (operation.event != Event::call) {
    reply = encode_reply({});
  } else if (answer) {
    reply = encode_reply_within(*answer, limits);
  } else {
    reply = encode_reply_error(answer.error());
  }
  if (SEMPER_MUTANT("server_key_of_a_local_call_not_kept")) return;
  const auto told = effects.keys.complete(address, std::move(reply), KeyRecord::State::done, now);
  tell_waiting(told, limits, effects);
}

Async<void> Execution::settle_keys(Transaction& transaction, AttemptEffects& effects) const {
  const BytesView prefix = target_.tenant.prefix();
  const std::int64_t now = to_timer_ms(callbacks_.now(effects.sends));
  // As with timers: one that began at a version that is not the newest cannot read.
  std::optional<Transaction> newest;
  if (effects.was_known) newest.emplace(served_.core().store().begin());
  const KeyBook::Place place{transaction, newest ? *newest : transaction, prefix};
  std::vector<OutgoingReply> replies;
  SEMPER_CO_TRY_STATUS(
      co_await effects.keys.answer(place, effects.sends.keyed_answers, now, replies));
  for (auto& reply : replies) effects.reply(reply.to, std::move(reply.encoded));
  effects.keys.settle(transaction, prefix);
  co_return Status{};
}

}  // namespace semper::internal
