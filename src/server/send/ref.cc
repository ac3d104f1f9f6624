#include "semper/server/ref.h"

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "semper/env/cancellation.h"
#include "server/admin/administration.h"
#include "server/send/call_chain.h"
#include "server/send/delayed.h"
#include "server/send/open_span.h"
#include "server/send/operation.h"
#include "server/send/outbox.h"
#include "server/send/relay.h"
#include "server/send/route.h"
#include "server/send/sessions.h"

namespace semper {
namespace {

using internal::Operation;
using internal::Sent;
using internal::without_tag;
using RoutePointer = std::shared_ptr<const internal::Route>;

// A wait that was cut off says nothing about the message, which is on its way.
Error left_open(Error error, const internal::Target& target) {
  if (error.kind() != ErrorKind::cancelled) return error;
  return Error(ErrorKind::outcome_unknown,
               "the wait for " + target.id.to_string() +
                   " was cancelled; the message may still be processed");
}

Error unanswered(const Error& error, const internal::Target& target) {
  if (error.kind() != ErrorKind::timeout) return left_open(error, target);
  return Error(ErrorKind::timeout, "no reply from " + target.id.to_string() +
                                       " in time; the message may still be processed");
}
// What came of an operation that this process's host was handed.
Result<Bytes> outcome(Result<Result<Bytes>>&& answer, const internal::Target& target) {
  if (answer) return std::move(*answer);
  return fail(unanswered(answer.error(), target));
}
Status status_of(const Result<Result<Bytes>>& answer, const internal::Target& target) {
  if (!answer) return fail(unanswered(answer.error(), target));
  if (!*answer) return fail(answer->error());
  return {};
}

using Key = std::shared_ptr<const internal::MessageKey>;

// Else g++ 12 destroys the options of a co_await that are made in it, or are its default, twice.
static_assert(std::is_trivially_destructible_v<CallOptions>);
static_assert(std::is_trivially_destructible_v<CastOptions>);

// The trace of the callback that sends. Where the sending is to have a span, it gets it with that:
// it goes as by a Ref that is traced.
using FramePointer = std::shared_ptr<const internal::CallFrame>;
FramePointer carry_on(const Executor& from, const internal::Target& target, RawMessage* first,
                      std::size_t count) {
  if (count == 0 || first->trace) return nullptr;
  if (auto frame = internal::recording_of(from, target)) return frame;
  const auto trace = internal::trace_of(from);
  if (!trace) return nullptr;
  auto sent = internal::sent_at(trace->context, target.store().env().clock->wall_time());
  for (std::size_t i = 0; i < count; ++i) first[i].trace = sent;
  return nullptr;
}

// The messages belong to the trace from now on. Null: no span of the sending is recorded.
using OpenSpanPointer = std::unique_ptr<internal::OpenSpan>;
OpenSpanPointer trace(const internal::Tracing& tracing, const internal::Route& route,
                      std::string_view doing, SpanKind kind, RawMessage* first, std::size_t count) {
  const auto& target = route.target;
  if (count == 0 || !target.tenant.store()) return nullptr;
  const Env env = target.store().env();
  internal::TracePointer sent = internal::sent_at(tracing.context, env.clock->wall_time());
  auto span = internal::open_span(tracing.spans, env, sent, doing, target.id, first->name, kind);
  if (span) sent = span->trace;
  for (std::size_t i = 0; i < count; ++i) first[i].trace = sent;
  return span;
}

// The span ends with the sending, however that does.
class SpanOfSend {
 public:
  // `frame`: of the callback that sends; null: the buffer is its sender's own.
  SpanOfSend(RoutePointer route, SpanBuffer& to, OpenSpanPointer span, FramePointer frame)
      : route_(std::move(route)), to_(to), frame_(std::move(frame)), span_(std::move(span)) {}
  SpanOfSend(const SpanOfSend&) = delete;
  SpanOfSend& operator=(const SpanOfSend&) = delete;
  ~SpanOfSend() {
    Span span = internal::close_span(*span_, route_->target.store().env(), error_);
    if (frame_) {
      frame_->record(std::move(span));
    } else {
      to_.add(std::move(span));
    }
  }
  void ended(const Error* error) {
    error_.reset();
    if (error != nullptr) error_ = *error;
  }

 private:
  const RoutePointer route_;
  SpanBuffer& to_;
  const FramePointer frame_;
  const OpenSpanPointer span_;
  std::optional<Error> error_ = Error(ErrorKind::cancelled, "the wait ended before the answer");
};

template <class T>
Async<T> with_span(std::shared_ptr<SpanOfSend> span, Async<T> sending) {
  auto sent = co_await std::move(sending);
  span->ended(sent ? nullptr : &sent.error());
  co_return sent;
}

template <class T>
Async<T> recorded(const RoutePointer& route, const internal::Tracing& tracing, OpenSpanPointer span,
                  Async<T> sending, FramePointer frame = nullptr) {
  return with_span(
      std::make_shared<SpanOfSend>(route, *tracing.spans, std::move(span), std::move(frame)),
      std::move(sending));
}

// What follows runs for each message, on the loop of whoever sends it. Coroutines whose frames are
// larger than what Asio keeps for the next one (1 KiB) would each take memory anew: so what needs
// no wait is in functions, and the ways that wait for more are in coroutines of their own.

using Done = OneShot<Result<Bytes>>;

// Hands it to the host of this process.
Result<std::optional<Done>> submit(internal::LocalServer& server, const RoutePointer& route,
                                   const Executor& from, Operation operation) {
  std::optional<Done> done(operation.done);
  SEMPER_TRY_STATUS(server.submit(target_of(route), std::move(operation), without_tag(from)));
  return done;
}

// Nothing: it goes another way, and the message is as it was, but for its trace.
Result<std::optional<Done>> begin_call(const RoutePointer& route, const Executor& from,
                                       RawMessage& message, const Key& key, MonotonicTime deadline,
                                       internal::ChainPointer& chain, FramePointer& frame) {
  SEMPER_TRY(chain, chain_of(from, route->target, Sent::call));
  if (chain) frame = carry_on(from, route->target, &message, 1);
  if (frame) return std::optional<Done>();
  const auto server = route->inline_server();
  if (!server) return std::optional<Done>();
  Operation operation{Event::call, false, {}, {}, deadline};
  operation.messages.push_back(std::move(message));
  operation.key = key;
  operation.chain = std::move(chain);
  return submit(*server, route, from, std::move(operation));
}

Async<Bytes> call(RoutePointer route, RawMessage message, Duration timeout, Key key);

// In a callback whose message is traced: as by a Ref that is.
Async<Bytes> call_with_span(RoutePointer route, RawMessage message, Duration timeout, Key key,
                            FramePointer frame) {
  const internal::Tracing tracing = frame->tracing();
  auto span = trace(tracing, *route, "call", SpanKind::client, &message, 1);
  auto sending = call(route, std::move(message), timeout, std::move(key));
  co_return co_await recorded(route, tracing, std::move(span), std::move(sending),
                              std::move(frame));
}

Async<Bytes> call_elsewhere(RoutePointer route, RawMessage message, MonotonicTime deadline, Key key,
                            internal::ChainPointer chain, FramePointer frame) {
  if (frame) {
    const Duration left = deadline - route->target.store().env().clock->now();
    co_return co_await call_with_span(std::move(route), std::move(message), left, std::move(key),
                                      std::move(frame));
  }
  auto answer = co_await run_through(route->publishers.sessions->call(
      target_of(route), std::move(message), deadline, std::move(key), std::move(chain)));
  if (!answer) co_return fail(left_open(answer.error(), route->target));
  co_return answer;
}

Async<Bytes> call(RoutePointer route, RawMessage message, Duration timeout, Key key) {
  SEMPER_CO_TRY_STATUS(route->usable());
  const Executor from = co_await asio::this_coro::executor;
  auto& clock = *route->target.store().env().clock;
  const MonotonicTime deadline = clock.after(timeout);
  internal::ChainPointer chain;
  FramePointer frame;
  SEMPER_CO_TRY(auto done, begin_call(route, from, message, key, deadline, chain, frame));
  if (!done) {
    co_return co_await call_elsewhere(std::move(route), std::move(message), deadline,
                                      std::move(key), std::move(chain), std::move(frame));
  }
  // The only wait, and nothing after it: run_through would only cost.
  auto answer = co_await done->wait_until(clock, deadline);
  co_return outcome(std::move(answer), route->target);
}

Async<void> cast(RoutePointer route, std::vector<RawMessage> messages, Key key);

Async<void> cast_with_span(RoutePointer route, std::vector<RawMessage> messages, Key key,
                           FramePointer frame) {
  const internal::Tracing tracing = frame->tracing();
  auto span = trace(tracing, *route, "send", SpanKind::producer, messages.data(), messages.size());
  auto sending = cast(route, std::move(messages), std::move(key));
  co_return co_await recorded(route, tracing, std::move(span), std::move(sending),
                              std::move(frame));
}

Async<void> cast_elsewhere(RoutePointer route, std::vector<RawMessage> messages, Key key,
                           FramePointer frame) {
  if (frame) {
    co_return co_await cast_with_span(std::move(route), std::move(messages), std::move(key),
                                      std::move(frame));
  }
  const auto& target = route->target;
  const auto relay = key ? nullptr : route->publishers.relays->to(target.id.type);
  if (relay) {
    auto sent = co_await run_through(relay->cast(target_of(route), std::move(messages)));
    if (!sent) co_return fail(left_open(sent.error(), target));
    co_return sent;
  }
  std::shared_ptr<internal::KeyedSend> keyed;
  if (key) keyed = std::make_shared<internal::KeyedSend>(std::move(key));
  auto sent = co_await run_through(
      route->publishers.outbox->cast(target_of(route), std::move(messages), keyed));
  if (!sent) co_return fail(left_open(sent.error(), target));
  co_return sent;
}

// As begin_call().
Result<std::optional<Done>> begin_cast(const RoutePointer& route, const Executor& from,
                                       std::vector<RawMessage>& messages, const Key& key,
                                       FramePointer& frame) {
  SEMPER_TRY_STATUS(route->usable());
  if (messages.empty()) return std::optional<Done>();
  SEMPER_TRY(auto chain, chain_of(from, route->target, Sent::cast));
  if (chain) frame = carry_on(from, route->target, messages.data(), messages.size());
  if (frame) return std::optional<Done>();
  const auto server = route->inline_server();
  if (!server) return std::optional<Done>();
  Operation operation{Event::cast, false, std::move(messages), {}, kNever};
  operation.key = key;
  operation.chain = std::move(chain);
  return submit(*server, route, from, std::move(operation));
}

Async<void> cast(RoutePointer route, std::vector<RawMessage> messages, Key key) {
  const Executor from = co_await asio::this_coro::executor;
  FramePointer frame;
  SEMPER_CO_TRY(auto done, begin_cast(route, from, messages, key, frame));
  if (done) {
    auto answer = co_await done->wait();
    co_return status_of(answer, route->target);
  }
  if (messages.empty()) co_return Status{};
  co_return co_await cast_elsewhere(std::move(route), std::move(messages), std::move(key),
                                    std::move(frame));
}

Async<void> cast_in(RoutePointer route, Transaction& transaction,
                    std::vector<RawMessage> messages) {
  SEMPER_CO_TRY_STATUS(route->usable());
  co_return co_await route->publishers.outbox->cast_in(transaction, target_of(route),
                                                       std::move(messages));
}

Async<Bytes> priority(RoutePointer route, Event event, RawMessage message, Duration timeout);

Async<Bytes> priority_with_span(RoutePointer route, Event event, RawMessage message,
                                Duration timeout, FramePointer frame) {
  const internal::Tracing tracing = frame->tracing();
  const bool is_call = event == Event::call;
  auto span = trace(tracing, *route, is_call ? "call" : "send",
                    is_call ? SpanKind::client : SpanKind::producer, &message, 1);
  auto sending = priority(route, event, std::move(message), timeout);
  co_return co_await recorded(route, tracing, std::move(span), std::move(sending),
                              std::move(frame));
}

Async<Bytes> priority(RoutePointer route, Event event, RawMessage message, Duration timeout) {
  const auto& target = route->target;
  SEMPER_CO_TRY_STATUS(route->usable());
  const auto server = route->local_server();
  if (!server) {
    co_return fail(ErrorKind::unsupported,
                   "priority messages run in this process, and no host in it serves type " +
                       target.id.type + "; make one that does, or send a call or cast");
  }
  const Executor from = co_await asio::this_coro::executor;
  SEMPER_CO_TRY(auto chain, chain_of(from, target, Sent::priority));
  FramePointer frame;
  if (chain) frame = carry_on(from, target, &message, 1);
  if (frame) {
    co_return co_await priority_with_span(route, event, std::move(message), timeout,
                                          std::move(frame));
  }
  const MonotonicTime deadline = target.store().env().clock->after(timeout);
  Operation operation{event, true, {}, {}, deadline};
  auto done = operation.done;
  operation.messages.push_back(std::move(message));
  operation.chain = std::move(chain);
  SEMPER_CO_TRY_STATUS(server->submit(target_of(route), std::move(operation), without_tag(from)));
  auto answer = co_await done.wait_until(*target.store().env().clock, deadline);
  co_return outcome(std::move(answer), target);
}

// Null: it has none. The text is borrowed until here.
Result<Key> key_in(const CastOptions& options, const RawMessage& message) {
  if (!options.key) return Key();
  return internal::message_key(*options.key, Event::cast, message);
}

template <class T>
Async<T> refuse(Error error) {
  co_return fail(std::move(error));
}

Async<void> without_value(Async<Bytes> call) {
  SEMPER_CO_TRY_STATUS(co_await std::move(call));
  co_return Status{};
}

}  // namespace

RawRef::RawRef(Tenant tenant, EntityId id)
    : route_(std::make_shared<const internal::Route>(std::move(tenant), std::move(id))) {}

// Each ends where it says so when its coroutine is cancelled, with an error instead of an
// exception.
Async<Bytes> RawRef::call(RawMessage message, CallOptions options) const {
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "call", SpanKind::client, &message, 1);
  Key key;
  if (options.key) {
    auto made = internal::message_key(*options.key, Event::call, message);  // borrowed until here
    if (!made) return refuse<Bytes>(made.error());
    key = std::move(*made);
  }
  auto sending = semper::call(route_, std::move(message), options.timeout, std::move(key));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<void> RawRef::cast(std::vector<RawMessage> messages) const {
  OpenSpanPointer span;
  if (tracing_) {
    span = trace(*tracing_, *route_, "send", SpanKind::producer, messages.data(), messages.size());
  }
  auto sending = semper::cast(route_, std::move(messages), nullptr);
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<void> RawRef::cast(RawMessage message, CastOptions options) const {
  auto key = key_in(options, message);
  if (!key) return refuse<void>(key.error());
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "send", SpanKind::producer, &message, 1);
  std::vector<RawMessage> one;
  one.push_back(std::move(message));
  auto sending = semper::cast(route_, std::move(one), std::move(*key));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<KeyedReply<Bytes>> RawRef::result_of(std::string message_name, std::string_view key) const {
  return run_through(
      internal::result_of(target_of(route_), std::move(message_name), std::string(key)));
}
Async<void> RawRef::cast_after(Duration delay, RawMessage message, CastOptions options) const {
  auto key = key_in(options, message);
  if (!key) return refuse<void>(key.error());
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "send", SpanKind::producer, &message, 1);
  auto sending = run_through(
      internal::cast_after(target_of(route_), delay, std::move(message), std::move(*key)));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<void> RawRef::cast_at(WallTime when, RawMessage message, CastOptions options) const {
  auto key = key_in(options, message);
  if (!key) return refuse<void>(key.error());
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "send", SpanKind::producer, &message, 1);
  auto sending =
      run_through(internal::cast_at(target_of(route_), when, std::move(message), std::move(*key)));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<void> RawRef::cast_in(Transaction& transaction, std::vector<RawMessage> messages) const {
  // Whether they are sent is not known here: no span is recorded.
  if (tracing_) {
    const internal::Tracing carried{tracing_->context, nullptr};
    trace(carried, *route_, "send", SpanKind::producer, messages.data(), messages.size());
  }
  return run_through(semper::cast_in(route_, transaction, std::move(messages)));
}
Async<Bytes> RawRef::priority_call(RawMessage message, CallOptions options) const {
  if (options.key) {
    return refuse<Bytes>(
        Error(ErrorKind::invalid_argument, "a priority call has no idempotency key; send a call"));
  }
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "call", SpanKind::client, &message, 1);
  auto sending = run_through(priority(route_, Event::call, std::move(message), options.timeout));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<void> RawRef::priority_cast(RawMessage message) const {
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "send", SpanKind::producer, &message, 1);
  auto sending =
      run_through(without_value(priority(route_, Event::cast, std::move(message), kForever)));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
Async<void> RawRef::info(RawMessage message) const {
  OpenSpanPointer span;
  if (tracing_) span = trace(*tracing_, *route_, "send", SpanKind::producer, &message, 1);
  auto sending =
      run_through(without_value(priority(route_, Event::info, std::move(message), kForever)));
  return span ? recorded(route_, *tracing_, std::move(span), std::move(sending))
              : std::move(sending);
}
RawRef RawRef::traced(const TraceContext& trace, SpanBuffer* spans) const {
  RawRef other = *this;
  other.tracing_ = std::make_shared<const internal::Tracing>(internal::Tracing{trace, spans});
  return other;
}
Async<void> RawRef::kill() const {
  return run_through(internal::kill(target_of(route_)));
}
Async<void> RawRef::reset() const {
  return run_through(internal::reset(target_of(route_)));
}
Async<void> RawRef::unlock() const {
  return run_through(internal::unlock(target_of(route_)));
}
Async<std::uint64_t> RawRef::queue_length() const {
  return run_through(internal::queue_length(target_of(route_)));
}

const EntityId& RawRef::entity() const {
  return route_->target.id;
}
const Tenant& RawRef::tenant() const {
  return route_->target.tenant;
}

}  // namespace semper
