// What a Reply carries besides its value: what comes next, and actions with their types forgotten;
// for reply.h alone. When not: callbacks say Reply::then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

namespace semper {

// What becomes of a callback's further actions.
enum class ActionFlow : std::uint8_t { go_on, halt };

namespace internal {

enum class Next : std::uint8_t { go_on, stop, lock };

// An action, with the type of the state that it wants.
struct Action {
  std::type_index state_type;
  std::function<ActionFlow(const void*)> run;
};

// The type of the one argument that a callable takes, where it takes that only.
template <class F>
struct ActionArgument {};
template <class S>
struct ActionArgumentIs {
  using type = std::remove_cvref_t<S>;
};
template <class F>
requires requires {
  &F::operator();
}
struct ActionArgument<F> : ActionArgument<decltype(&F::operator())> {};
template <class R, class C, class S>
struct ActionArgument<R (C::*)(S) const> : ActionArgumentIs<S> {};
template <class R, class C, class S>
struct ActionArgument<R (C::*)(S)> : ActionArgumentIs<S> {};
template <class R, class C, class S>
struct ActionArgument<R (C::*)(S) const noexcept> : ActionArgumentIs<S> {};
template <class R, class C, class S>
struct ActionArgument<R (C::*)(S) noexcept> : ActionArgumentIs<S> {};
template <class R, class S>
struct ActionArgument<R (*)(S)> : ActionArgumentIs<S> {};
template <class R, class S>
struct ActionArgument<R (*)(S) noexcept> : ActionArgumentIs<S> {};

template <class F>
concept NamesItsState = requires {
  typename ActionArgument<F>::type;
};

template <class State, class F>
ActionFlow run_action(F& function, const State& state) {
  if constexpr (std::is_void_v<decltype(function(state))>) {
    function(state);
    return ActionFlow::go_on;
  } else {
    return function(state);
  }
}

template <class State, class F>
Action make_action(F function) {
  static_assert(std::is_invocable_v<F&, const State&>,
                "an action is called with a const State&: it may not change the state");
  if constexpr (std::is_copy_constructible_v<F>) {
    return {typeid(State), [function = std::move(function)](const void* state) mutable {
              return run_action(function, *static_cast<const State*>(state));
            }};
  } else {
    return {typeid(State),
            [function = std::make_shared<F>(std::move(function))](const void* state) {
              return run_action(*function, *static_cast<const State*>(state));
            }};
  }
}

template <class F>
Action make_action_by_itself(F function) {
  static_assert(NamesItsState<F>,
                "an action that does not name its state is given it: then(state, action)");
  if constexpr (NamesItsState<F>) {
    return make_action<typename ActionArgument<F>::type>(std::move(function));
  }
}

// Of Context::after_commit: it takes no state.
template <class F>
Action make_after_commit(F function) {
  auto shared = std::make_shared<F>(std::move(function));
  return {typeid(void), [shared = std::move(shared)](const void*) {
            if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
              (*shared)();
              return ActionFlow::go_on;
            } else {
              return ActionFlow((*shared)());
            }
          }};
}

// What every Reply carries besides its value.
struct ReplyControl {
  Next next = Next::go_on;
  std::string stop_reason;
  std::vector<Action> actions;
};

// The control of a Reply or an Outcome; nothing of other types has one.
struct ReplyParts {
  template <class R>
  static auto control(R& reply) -> decltype((reply.control_)) {
    return reply.control_;
  }
};

}  // namespace internal
}  // namespace semper
