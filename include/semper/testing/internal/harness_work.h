// What a Harness does with the types of its user; for harness.h alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "semper/server/internal/message_parts.h"
#include "semper/server/ref.h"
#include "semper/testing/internal/harness_engine.h"
#include "semper/testing/internal/watched.h"

namespace semper::testing::internal {

// A message, or what it is made of.
template <class M, class... Parts>
M message_of(Parts&&... parts) {
  if constexpr (sizeof...(Parts) == 1 && (std::is_same_v<M, std::remove_cvref_t<Parts>> && ...)) {
    return M(std::forward<Parts>(parts)...);
  } else {
    return semper::internal::make_message<M>(std::forward<Parts>(parts)...);
  }
}

template <class R, class Work>
Task<void> keep_answer(Work work, Tenant tenant, std::shared_ptr<std::optional<R>> answer) {
  auto awaited = work(std::move(tenant));
  answer->emplace(co_await std::move(awaited));
}

// The longest that a scenario waits for: HarnessOptions::patience ends it sooner.
inline CallOptions patient() {
  return CallOptions{std::chrono::hours(24)};
}

template <BehaviourType B>
HarnessType harness_type(std::function<std::shared_ptr<B>()> make) {
  HarnessType type;
  type.name = std::string(type_name<B>());
  type.serve = [make](Host& host, std::shared_ptr<HarnessWitness> witness) {
    host.serve(std::make_shared<Watched<B>>(make(), std::move(witness)));
  };
  type.decode = [](BytesView bytes) -> Result<std::shared_ptr<void>> {
    auto state = decode<typename B::State>(bytes);
    if (!state) return fail(state.error());
    return std::shared_ptr<void>(std::make_shared<typename B::State>(std::move(*state)));
  };
  return type;
}

}  // namespace semper::testing::internal
