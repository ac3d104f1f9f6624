// LockedContext: what handle_locked can find out and do, apart from its message and state.
//
// handle_locked runs outside any transaction, for as long as it takes, and may have side effects.
// When not: in the other callbacks, which get a Context (context.h).
//
//   semper::Reply<std::int64_t> handle_locked(const Pay& m, State& s, semper::LockedContext& ctx) {
//     bank_->pay(m.amount, ctx.fencing_token());            // the bank refuses older tokens
//     const auto ledger = semper::ref<Ledger>(ctx.tenant(), "main");
//     ctx.cast(ledger, Ledger::Booked{m.amount});           // sent with the result, or not at all
//     return s.paid += m.amount;
//   }
//
// Ownership: borrowed; a LockedContext ends when the callback returns. Threads: the callback's own.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "semper/base/codec.h"
#include "semper/base/stop.h"
#include "semper/base/type_name.h"
#include "semper/env/env.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/context_fields.h"
#include "semper/server/message.h"
#include "semper/server/timer.h"
#include "semper/store/transaction.h"

namespace semper {

template <class Behaviour>
class Ref;
struct TraceContext;

class LockedContext {
 public:
  // For hosts only.
  explicit LockedContext(internal::LockedContextFields fields) : fields_(std::move(fields)) {}
  // The same with another clock, for tests that count how often a callback waits.
  LockedContext with_clock(Clock& clock) const {
    LockedContext other = *this;
    other.fields_.env.clock = &clock;
    return other;
  }

  const EntityId& id() const { return *fields_.id; }
  const Tenant& tenant() const { return *fields_.tenant; }
  Event event() const { return fields_.event; }
  Clock& clock() const { return *fields_.env.clock; }
  Random& random() const { return *fields_.env.random; }

  // Grows with every lock of any entity: pass it to an outside system that refuses older tokens.
  std::uint64_t fencing_token() const { return fields_.fencing_token; }

  // Stop is requested when the lease was lost or the host shuts down. Another host may then hold
  // the lock, and the result of handle_locked will be refused. Return soon.
  StopToken lost() const { return fields_.lost; }

  // The tick that is being handled; null if the message is not a tick.
  const Tick* tick() const { return fields_.tick; }

  // As Context::trace().
  const TraceContext* trace() const;

  // Messages to entities, answers to callers, and writes to your own keys (`write` may run more
  // than once). They are committed with the result of this handle_locked, in its transaction and in
  // this order, or not at all: nothing is sent if it fails or the lock was lost. If something
  // cannot be sent (see Context::cast) or exceeds one transaction, the message fails with that
  // error and is set aside.
  template <class Behaviour, class Message>
  void cast(const Ref<Behaviour>& to, const Message& message) {
    send_cast(to.untyped().tenant(), to.entity(), short_type_name<Message>(), encode(message));
  }
  template <class T>
  void reply(const ReplyToken& to, const T& value) {
    send_reply(to, encode(value));
  }
  void reply_error(const ReplyToken& to, const Error& error);
  void with_result(std::function<void(Transaction&)> write);

 private:
  void send_cast(Tenant tenant, EntityId to, std::string_view message, Bytes payload);
  void send_reply(const ReplyToken& to, Bytes encoded);

  internal::LockedContextFields fields_;
};

}  // namespace semper
