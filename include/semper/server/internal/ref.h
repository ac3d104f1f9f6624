// The bodies of Ref.
//
// What for: ref.h, which includes it at its end. When not: never used directly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/base/type_name.h"
#include "semper/server/internal/message_parts.h"
#include "semper/server/internal/typed_message.h"
#include "semper/server/ref.h"

namespace semper {

template <class B>
Ref<B>::Ref(Tenant tenant, std::string id)
    : raw_(std::move(tenant), EntityId{std::string(type_name<B>()), std::move(id)}) {}

template <class B>
template <CallOf<B> M>
Async<typename M::Reply> Ref<B>::call(M message, CallOptions options) const {
  return internal::decode_reply<typename M::Reply>(
      raw_.call(internal::raw_message(message), options));
}

template <class B>
template <CallOf<B> M, class... Parts>
Async<typename M::Reply> Ref<B>::call(
    Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return call(internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
template <CallOf<B> M, class... Parts>
Async<typename M::Reply> Ref<B>::call(
    CallOptions options, Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return call(internal::make_message<M>(std::forward<Parts>(parts)...), options);
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast(M message) const {
  std::vector<RawMessage> one;
  one.push_back(internal::raw_message(message));
  return raw_.cast(std::move(one));
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast(M message, CastOptions options) const {
  return raw_.cast(internal::raw_message(message), options);
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast(Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast(internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast(CastOptions options,
                         Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast(internal::make_message<M>(std::forward<Parts>(parts)...), options);
}

template <class B>
Async<void> Ref<B>::cast(Batch<B> batch) const {
  return raw_.cast(std::move(batch).take());
}

template <class B>
template <CallOf<B> M>
Async<KeyedReply<typename M::Reply>> Ref<B>::result_of(std::string_view key) const {
  return internal::decode_result<typename M::Reply>(
      raw_.result_of(std::string(short_type_name<M>()), key));
}

template <class B>
template <CastOf<B> M>
Async<KeyedReply<void>> Ref<B>::result_of(std::string_view key) const requires(!CallOf<M, B>) {
  return internal::decode_result<void>(raw_.result_of(std::string(short_type_name<M>()), key));
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast_after(Duration delay, M message) const {
  return raw_.cast_after(delay, internal::raw_message(message));
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast_after(Duration delay, M message, CastOptions options) const {
  return raw_.cast_after(delay, internal::raw_message(message), options);
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast_after(Duration delay,
                               Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast_after(delay, internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast_after(Duration delay, CastOptions options,
                               Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast_after(delay, internal::make_message<M>(std::forward<Parts>(parts)...), options);
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast_at(WallTime when, M message) const {
  return raw_.cast_at(when, internal::raw_message(message));
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast_at(WallTime when, M message, CastOptions options) const {
  return raw_.cast_at(when, internal::raw_message(message), options);
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast_at(WallTime when,
                            Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast_at(when, internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast_at(WallTime when, CastOptions options,
                            Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast_at(when, internal::make_message<M>(std::forward<Parts>(parts)...), options);
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::cast_in(Transaction& transaction, M message) const {
  std::vector<RawMessage> one;
  one.push_back(internal::raw_message(message));
  return raw_.cast_in(transaction, std::move(one));
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::cast_in(Transaction& transaction,
                            Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return cast_in(transaction, internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
Async<void> Ref<B>::cast_in(Transaction& transaction, Batch<B> batch) const {
  return raw_.cast_in(transaction, std::move(batch).take());
}

template <class B>
template <CallOf<B> M>
Async<typename M::Reply> Ref<B>::priority_call(M message, CallOptions options) const {
  return internal::decode_reply<typename M::Reply>(
      raw_.priority_call(internal::raw_message(message), options));
}

template <class B>
template <CallOf<B> M, class... Parts>
Async<typename M::Reply> Ref<B>::priority_call(
    Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return priority_call(internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
template <CastOf<B> M>
Async<void> Ref<B>::priority_cast(M message) const {
  return raw_.priority_cast(internal::raw_message(message));
}

template <class B>
template <CastOf<B> M, class... Parts>
Async<void> Ref<B>::priority_cast(Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return priority_cast(internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
template <InfoOf<B> M>
Async<void> Ref<B>::info(M message) const {
  return raw_.info(internal::raw_message(message));
}

template <class B>
template <InfoOf<B> M, class... Parts>
Async<void> Ref<B>::info(Parts&&... parts) const requires internal::PartsOf<M, Parts...> {
  return info(internal::make_message<M>(std::forward<Parts>(parts)...));
}

template <class B>
Async<void> Ref<B>::kill() const {
  return raw_.kill();
}

template <class B>
Async<void> Ref<B>::reset() const {
  return raw_.reset();
}

template <class B>
Async<void> Ref<B>::unlock() const {
  return raw_.unlock();
}

template <class B>
Async<std::uint64_t> Ref<B>::queue_length() const {
  return raw_.queue_length();
}

}  // namespace semper
