// Messages made of their fields: what the forms call<M>(parts...) of ref.h need.
#pragma once

#include <type_traits>
#include <utility>

namespace semper::internal {

struct Route;  // an entity, and how this process reaches it

// M made of what its fields are made of, in order; the others have their defaults.
#ifdef __cpp_aggregate_paren_init
template <class M, class... Arguments>
concept MadeOf = std::is_constructible_v<M, Arguments&&...>;
template <class M, class... Arguments>
M make_message(Arguments&&... arguments) {
  return M(std::forward<Arguments>(arguments)...);
}
#else
template <class M, class... Arguments>
concept MadeOf = requires(Arguments&&... arguments) {
  M{std::forward<Arguments>(arguments)...};
};
template <class M, class... Arguments>
M make_message(Arguments&&... arguments) {
  return M{std::forward<Arguments>(arguments)...};
}
#endif

// Not a message itself, nor one with options: other overloads take these.
template <class M, class... Arguments>
concept NoneIs = !(std::is_same_v<M, std::remove_cvref_t<Arguments>> || ...);
template <class M, class... Arguments>
concept PartsOf = MadeOf<M, Arguments...> && NoneIs<M, Arguments...>;

}  // namespace semper::internal
