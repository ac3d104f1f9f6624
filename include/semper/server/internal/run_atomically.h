// How atomically() (server/atomically.h) runs its function on states of the right types. `Tx`: an
// Atomic.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "semper/server/internal/atomic_run.h"
#include "semper/server/internal/behaviour_of.h"
#include "semper/server/ref.h"

namespace semper::internal {

template <class B>
AtomicPart atomic_part(const Ref<B>& ref) {
  AtomicPart part{ref.untyped().tenant(), ref.entity(), typeid(BehaviourOf<B>), nullptr};
  if constexpr (std::is_default_constructible_v<B>) {
    part.make_behaviour = []() -> std::shared_ptr<Behaviour> {
      return std::make_shared<BehaviourOf<B>>(std::make_shared<B>());
    };
  }
  return part;
}

// What the function answered, or threw.
template <class R>
struct AtomicAnswer {
  std::optional<R> result;
  std::exception_ptr thrown;
};

template <class Tx, class R, class Call>
Task<void> answer_atomically(std::shared_ptr<AtomicRun> run, Call& call, AtomicAnswer<R>& answer) {
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    Tx atomic(*run);
    answer.result.emplace(co_await call(atomic, run->states()));
  } catch (...) {
    answer.thrown = std::current_exception();
  }
}

template <class Tx, class R, class Call>
asio::awaitable<R> run_atomically(std::shared_ptr<AtomicRun> run, Call call) {
  while (true) {
    SEMPER_CO_TRY_STATUS(co_await run->begin());
    AtomicAnswer<R> answer;
    auto work = answer_atomically<Tx, R>(run, call, answer);
    Status ended = co_await run->within_time(std::move(work));
    if (ended && answer.thrown) {
      co_await run->give_up();
      std::rethrow_exception(answer.thrown);
    }
    if (ended && !*answer.result) ended = fail(answer.result->error());
    SEMPER_CO_TRY(const bool is_done, co_await run->finish(std::move(ended)));
    if (is_done) co_return std::move(*answer.result);
  }
}

template <class Tx, class... B, class F>
auto with_states(F fn) {
  return [fn = std::move(fn)](Tx& tx, std::span<void* const> states) mutable {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return fn(tx, *static_cast<typename B::State*>(states[I])...);
    }
    (std::index_sequence_for<B...>());
  };
}

template <class Tx, class B, class F>
auto with_list_of_states(F fn) {
  using State = typename B::State;
  return [fn = std::move(fn), list = std::vector<State*>()](Tx& tx,
                                                            std::span<void* const> states) mutable {
    list.clear();
    for (void* const state : states) list.push_back(static_cast<State*>(state));
    return fn(tx, std::span<State* const>(list));
  };
}

}  // namespace semper::internal
