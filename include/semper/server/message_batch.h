// Batch<B>: messages to one durable server that are enqueued together, in this order, or not at
// all.
//
//   auto batch = semper::Batch<Counter>().add<Counter::Add>(1).add<Counter::Add>(2);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(std::move(batch)));
//
// What for: casts that belong together (Ref::cast, Ref::cast_in). When not: for messages that may
// arrive apart, cast each one; messages to several entities go together in atomically() or in a
// transaction (Ref::cast_in). A batch takes memory for all its messages, and is refused
// (`exhausted`) if it is more than one transaction takes. A plain value; threads: one at a time.
#pragma once

#include <utility>
#include <vector>

#include "semper/server/behaviour.h"
#include "semper/server/internal/message_parts.h"
#include "semper/server/internal/typed_message.h"
#include "semper/server/message.h"

namespace semper {

template <class B>
class Batch {
 public:
  template <CastOf<B> M>
  Batch& add(const M& message) {
    messages_.push_back(internal::raw_message(message));
    return *this;
  }
  // add<M>(parts...): creates the M from its parts.
  template <CastOf<B> M, class... Parts>
  Batch& add(Parts&&... parts) requires internal::PartsOf<M, Parts...> {
    return add(internal::make_message<M>(std::forward<Parts>(parts)...));
  }

  // The behaviour has no handle_cast for a const M&.
  template <class M>
  internal::TheBehaviourHasNoHandleCast add(const M&) requires(!CastOf<M, B>) = delete;
  template <class M, class... Parts>
  internal::TheBehaviourHasNoHandleCast add(Parts&&...) requires(
      !CastOf<M, B> && internal::NoneIs<M, Parts...>) = delete;

  std::vector<RawMessage> take() && { return std::move(messages_); }
  std::vector<RawMessage> take() const& { return messages_; }

 private:
  std::vector<RawMessage> messages_;
};

}  // namespace semper
