// RawRef: sends messages to one durable server without its C++ types.
//
// What for: tools, bridges and programs in which the type is known only as text. When not: a
// program that has the types uses a Ref (server/ref.h), which checks each message when it is
// compiled, and whose untyped() is a RawRef.
//
//   const semper::RawRef hits(tenant, semper::EntityId{"Counter", "page/home"});
//   const semper::RawMessage add{"Add", semper::encode(Counter::Add{2})};
//   SEMPER_CO_TRY(const semper::Bytes reply, co_await hits.call(add));
//
// Every operation does what the one of the same name does in server/ref.h: what is durable when,
// the errors and the next move, and the threads are said there. An id that is invalid, or a type
// that no program has, is found when the message is sent or run. Any number of copies may be made;
// each is a pointer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "semper/env/asio.h"
#include "semper/server/call_options.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/message_parts.h"
#include "semper/server/internal/tracing.h"
#include "semper/server/message.h"

namespace semper {

class SpanBuffer;
class Transaction;
struct TraceContext;

class RawRef {
 public:
  RawRef(Tenant tenant, EntityId id);

  Async<Bytes> call(RawMessage message, CallOptions options = {}) const;
  Async<void> cast(std::vector<RawMessage> messages) const;  // all of them or none, in this order
  Async<void> cast(RawMessage message, CastOptions options) const;
  Async<KeyedReply<Bytes>> result_of(std::string message_name, std::string_view key) const;
  Async<void> cast_after(Duration delay, RawMessage message, CastOptions options = {}) const;
  Async<void> cast_at(WallTime when, RawMessage message, CastOptions options = {}) const;
  Async<void> cast_in(Transaction& transaction, std::vector<RawMessage> messages) const;
  Async<Bytes> priority_call(RawMessage message, CallOptions options = {}) const;
  Async<void> priority_cast(RawMessage message) const;
  Async<void> info(RawMessage message) const;

  Async<void> kill() const;
  Async<void> reset() const;
  Async<void> unlock() const;
  Async<std::uint64_t> queue_length() const;

  RawRef traced(const TraceContext& trace, SpanBuffer* spans = nullptr) const;

  const EntityId& entity() const;
  const Tenant& tenant() const;

 private:
  std::shared_ptr<const internal::Route> route_;
  std::shared_ptr<const internal::Tracing> tracing_;  // null: nothing is traced
};

}  // namespace semper
