// The bodies of Harness.
//
// What for: testing/harness.h, which includes it at its end. When not: never used directly.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/server/ref.h"
#include "semper/testing/harness.h"
#include "semper/testing/internal/harness_work.h"

namespace semper::testing {

template <BehaviourType B>
void Harness::serve(std::function<std::shared_ptr<B>()> make) {
  engine_.add_type(internal::harness_type<B>(std::move(make)));
}

template <class R, class Work>
std::pair<std::shared_ptr<internal::HarnessOperation>, std::shared_ptr<std::optional<R>>>
Harness::begin(std::string what, Work work, internal::HarnessPlace place) {
  auto answer = std::make_shared<std::optional<R>>();
  const internal::HarnessWork whole = [work, answer](Tenant tenant) {
    return internal::keep_answer<R>(work, std::move(tenant), answer);
  };
  auto operation = engine_.begin(std::move(what), whole, place);
  return {std::move(operation), std::move(answer)};
}

template <class R, class Work>
R Harness::perform(std::string what, Work work, internal::HarnessPlace place) {
  auto [operation, answer] = begin<R>(std::move(what), std::move(work), place);
  const Status ended = engine_.wait(*operation);
  if (!ended) return fail(ended.error());
  engine_.note(**answer ? std::string("  done") : "  " + (*answer)->error().to_string());
  return std::move(**answer);
}

template <class M, class B, class... Parts>
requires HandlesCast<B, M> Status Harness::cast(const Ref<B>& to, Parts&&... parts) {
  const M message = internal::message_of<M>(std::forward<Parts>(parts)...);
  return perform<Status>(described("cast", to, message),
                         [id = to.entity().id, message](Tenant tenant) {
                           return semper::ref<B>(std::move(tenant), id).cast(message);
                         });
}

template <class M, class B, class... Parts>
requires HandlesInfo<B, M> Status Harness::info(const Ref<B>& to, Parts&&... parts) {
  const M message = internal::message_of<M>(std::forward<Parts>(parts)...);
  return perform<Status>(
      described("info", to, message),
      [id = to.entity().id, message](Tenant tenant) {
        return semper::ref<B>(std::move(tenant), id).info(message);
      },
      internal::HarnessPlace::host);
}

template <class M, class B, class... Parts>
requires HandlesCall<B, M> HarnessCall<typename M::Reply> Harness::begin_call(const Ref<B>& to,
                                                                              Parts&&... parts) {
  const M message = internal::message_of<M>(std::forward<Parts>(parts)...);
  auto [operation, answer] = begin<Result<typename M::Reply>>(
      described("call", to, message),
      [id = to.entity().id, message](Tenant tenant) {
        return semper::ref<B>(std::move(tenant), id).call(message, internal::patient());
      },
      internal::HarnessPlace::caller);
  return {std::move(operation), std::move(answer)};
}

template <class T>
Result<T> Harness::wait(HarnessCall<T> call) {
  const Status ended = engine_.wait(*call.operation_);
  if (!ended) return fail(ended.error());
  const Result<T>& answer = **call.answer_;
  engine_.note(answer ? "  answered " + internal::shown_value(*answer)
                      : "  " + answer.error().to_string());
  return answer;
}

template <class Work>
auto Harness::run(std::string what, Work work) ->
    typename std::invoke_result_t<Work&, Tenant>::value_type {
  using R = typename std::invoke_result_t<Work&, Tenant>::value_type;
  return perform<R>(std::move(what), std::move(work));
}

// What is not there is empty.
template <class T>
T Harness::looked(Async<T> looking) {
  std::optional<Result<T>> seen;
  engine_.look([](Async<T> inner, std::optional<Result<T>>& into) -> Task<void> {
    into.emplace(co_await std::move(inner));
  }(std::move(looking), seen));
  return *seen ? std::move(**seen) : T();
}

template <class B>
Result<typename B::State> Harness::state(const Ref<B>& of) {
  const EntityView view = looked(inspect(engine_.tenant(), of.entity()));
  if (!view.state) {
    return fail(ErrorKind::not_found, of.entity().to_string() + " has no state yet");
  }
  return decode<typename B::State>(*view.state);
}

template <BehaviourType B>
std::map<std::string, typename B::State> Harness::states() {
  std::map<std::string, typename B::State> all;
  const std::string type(type_name<B>());
  ListOptions options;
  options.limit = kLookedAt;
  for (const auto& id : looked(list_entities(engine_.tenant(), type, options))) {
    auto one = state(ref<B>(id));
    if (one) all.emplace(id, std::move(*one));
  }
  return all;
}

template <class M, class B>
std::vector<M> Harness::sent(const Ref<B>& to) {
  std::vector<M> messages;
  for (const auto& one : engine_.sent()) {
    if (one.to != to.entity() || one.message.name != short_type_name<M>()) continue;
    auto message = decode<M>(one.message.payload);
    if (message) messages.push_back(std::move(*message));
  }
  return messages;
}

}  // namespace semper::testing
