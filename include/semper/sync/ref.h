// sync::Ref<B>: sends messages to one durable server and waits for the results.
//
// What for: threads, tests and tools that talk to durable servers. When not: thousands of
// concurrent calls (semper/server/ref.h), and in a callback (Context::cast, or co_await in
// handle_locked).
//
//   auto hits = semper::sync::ref<Counter>(store, "page/home");
//   semper::Result<std::int64_t> n = hits.call<Counter::Add>(2);
//   SEMPER_TRY_STATUS(hits.cast<Counter::Add>(2));
//
// Durability and errors: as for Ref. Braces are safe here, because nothing is awaited:
// hits.call(Counter::Add{2}). If a Host of this process serves the type, the callbacks of these
// calls run on semper::sync's one thread: a callback that computes for a long time holds up the
// other calls. Threads and forks: see semper/sync/wait.h; a Ref is a cheap value.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "semper/server/ref.h"
#include "semper/sync/wait.h"

namespace semper::sync {

template <class B>
class Ref {
 public:
  Ref(Tenant tenant, std::string id) : ref_(std::move(tenant), std::move(id)) {}
  explicit Ref(semper::Ref<B> ref) : ref_(std::move(ref)) {}

  // `timeout` is CallOptions::timeout. If there is no answer at all for another kAnswerTime:
  // `outcome_unknown`.
  template <CallOf<B> M>
  Result<typename M::Reply> call(M message, Duration timeout = CallOptions().timeout) const {
    return wait(call_of(ref_, std::move(message), timeout), with_answer_time(timeout));
  }
  template <CallOf<B> M, class... Parts>
  Result<typename M::Reply> call(
      Parts&&... parts) const requires semper::internal::PartsOf<M, Parts...> {
    return call(semper::internal::make_message<M>(std::forward<Parts>(parts)...));
  }

  // With an idempotency key (server/idempotency_key.h).
  template <CallOf<B> M>
  Result<typename M::Reply> call(M message, const CallOptions& options) const {
    return wait(keyed_call_of(ref_, std::move(message), options, text_of(options.key)),
                with_answer_time(options.timeout));
  }
  template <CallOf<B> M>
  Result<KeyedReply<typename M::Reply>> result_of(std::string key,
                                                  Duration timeout = kForever) const {
    return wait(result_in<M, typename M::Reply>(ref_, std::move(key)), timeout,
                Late::had_no_effect);
  }
  template <CastOf<B> M>
  Result<KeyedReply<void>> result_of(std::string key, Duration timeout = kForever) const
      requires(!CallOf<M, B>) {
    return wait(result_in<M, void>(ref_, std::move(key)), timeout, Late::had_no_effect);
  }

  // If there is no answer within `timeout`: `outcome_unknown`.
  template <CastOf<B> M>
  Status cast(M message, const CastOptions& options, Duration timeout = kForever) const {
    return wait(keyed_cast_of(ref_, std::move(message), options, text_of(options.key)), timeout);
  }
  template <CastOf<B> M>
  Status cast(M message, Duration timeout = kForever) const {
    return wait(cast_of(ref_, std::move(message)), timeout);
  }
  template <CastOf<B> M, class... Parts>
  Status cast(Parts&&... parts) const requires semper::internal::PartsOf<M, Parts...> {
    return cast(semper::internal::make_message<M>(std::forward<Parts>(parts)...));
  }
  Status cast(Batch<B> batch, Duration timeout = kForever) const {
    return wait(batch_of(ref_, std::move(batch)), timeout);
  }

  template <CastOf<B> M>
  Status cast_after(Duration delay, M message, Duration timeout = kForever) const {
    return wait(cast_after_of(ref_, delay, std::move(message), {}, {}), timeout);
  }
  template <CastOf<B> M>
  Status cast_after(Duration delay, M message, CastOptions options,
                    Duration timeout = kForever) const {
    std::string key = text_of(options.key);
    return wait(cast_after_of(ref_, delay, std::move(message), options, std::move(key)), timeout);
  }
  template <CastOf<B> M>
  Status cast_at(WallTime when, M message, Duration timeout = kForever) const {
    return wait(cast_at_of(ref_, when, std::move(message), {}, {}), timeout);
  }
  template <CastOf<B> M>
  Status cast_at(WallTime when, M message, CastOptions options, Duration timeout = kForever) const {
    std::string key = text_of(options.key);
    return wait(cast_at_of(ref_, when, std::move(message), options, std::move(key)), timeout);
  }

  template <CallOf<B> M>
  Result<typename M::Reply> priority_call(M message,
                                          Duration timeout = CallOptions().timeout) const {
    return wait(priority_call_of(ref_, std::move(message), timeout), with_answer_time(timeout));
  }
  template <CastOf<B> M>
  Status priority_cast(M message, Duration timeout = kForever) const {
    return wait(priority_cast_of(ref_, std::move(message)), timeout);
  }
  template <InfoOf<B> M>
  Status info(M message, Duration timeout = kForever) const {
    return wait(info_of(ref_, std::move(message)), timeout);
  }

  Status kill(Duration timeout = kForever) const { return wait(kill_of(ref_), timeout); }
  Status reset(Duration timeout = kForever) const { return wait(reset_of(ref_), timeout); }
  Status unlock(Duration timeout = kForever) const { return wait(unlock_of(ref_), timeout); }
  Result<std::uint64_t> queue_length(Duration timeout = kForever) const {
    return wait(length_of(ref_), timeout, Late::had_no_effect);
  }

  // As semper::Ref::traced().
  Ref traced(const TraceContext& trace, SpanBuffer* spans = nullptr) const {
    return Ref(ref_.traced(trace, spans));
  }

  const EntityId& entity() const { return ref_.entity(); }
  const semper::Ref<B>& asynchronous() const { return ref_; }

 private:
  // Coroutines with their own copies: they may outlive the Ref if nobody waits any more.
  using Whole = semper::Ref<B>;
  template <class M>
  static Async<typename M::Reply> call_of(Whole ref, M message, Duration timeout) {
    CallOptions options;
    options.timeout = timeout;
    co_return co_await ref.call(std::move(message), options);
  }
  static std::string text_of(const std::optional<IdempotencyKey>& key) {
    return key ? std::string(key->text) : std::string();
  }
  template <class M>
  static Async<typename M::Reply> keyed_call_of(Whole ref, M message, CallOptions options,
                                                std::string key) {
    if (options.key) options.key->text = key;
    co_return co_await ref.call(std::move(message), options);
  }
  template <class M>
  static Async<void> keyed_cast_of(Whole ref, M message, CastOptions options, std::string key) {
    if (options.key) options.key->text = key;
    co_return co_await ref.cast(std::move(message), options);
  }
  template <class M, class T>
  static Async<KeyedReply<T>> result_in(Whole ref, std::string key) {
    co_return co_await ref.template result_of<M>(key);
  }
  template <class M>
  static Async<typename M::Reply> priority_call_of(Whole ref, M message, Duration timeout) {
    CallOptions options;
    options.timeout = timeout;
    co_return co_await ref.priority_call(std::move(message), options);
  }
  template <class M>
  static Async<void> cast_of(Whole ref, M message) {
    co_return co_await ref.cast(std::move(message));
  }
  template <class M>
  static Async<void> cast_after_of(Whole ref, Duration delay, M message, CastOptions options,
                                   std::string key) {
    if (options.key) options.key->text = key;
    co_return co_await ref.cast_after(delay, std::move(message), options);
  }
  template <class M>
  static Async<void> cast_at_of(Whole ref, WallTime when, M message, CastOptions options,
                                std::string key) {
    if (options.key) options.key->text = key;
    co_return co_await ref.cast_at(when, std::move(message), options);
  }
  static Async<void> batch_of(Whole ref, Batch<B> batch) {
    co_return co_await ref.cast(std::move(batch));
  }
  template <class M>
  static Async<void> priority_cast_of(Whole ref, M message) {
    co_return co_await ref.priority_cast(std::move(message));
  }
  template <class M>
  static Async<void> info_of(Whole ref, M message) {
    co_return co_await ref.info(std::move(message));
  }
  static Async<void> kill_of(Whole ref) { co_return co_await ref.kill(); }
  static Async<void> reset_of(Whole ref) { co_return co_await ref.reset(); }
  static Async<void> unlock_of(Whole ref) { co_return co_await ref.unlock(); }
  static Async<std::uint64_t> length_of(Whole ref) { co_return co_await ref.queue_length(); }

  Whole ref_;
};

template <class B>
Ref<B> ref(Tenant tenant, std::string id) {
  return Ref<B>(std::move(tenant), std::move(id));
}

}  // namespace semper::sync
