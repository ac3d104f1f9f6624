// The operations of a Ref for messages that its behaviour does not handle: all of them are deleted.
//
// Such a message is then a compile error in one line, instead of a list of the operations that do
// not fit. The behaviour has no handle_call, handle_cast or handle_info for a const M&, or one
// whose arguments or reply do not fit.
#pragma once

#include <string_view>

#include "semper/base/time.h"
#include "semper/server/behaviour.h"
#include "semper/server/call_options.h"
#include "semper/server/internal/message_parts.h"
#include "semper/server/internal/typed_message.h"

namespace semper {

class Transaction;

namespace internal {

template <class B>
class RefusedMessages {
 public:
  template <class M>
  TheBehaviourHasNoHandleCall call(M, CallOptions = {}) const requires(!CallOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCall call(Parts&&...) const
      requires(!CallOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCall priority_call(M, CallOptions = {}) const
      requires(!CallOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCall priority_call(Parts&&...) const
      requires(!CallOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCast cast(M, CastOptions = {}) const requires(!CastOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCast cast(Parts&&...) const
      requires(!CastOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCast priority_cast(M) const requires(!CastOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCast priority_cast(Parts&&...) const
      requires(!CastOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleInfo info(M) const requires(!InfoOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleInfo info(Parts&&...) const
      requires(!InfoOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCast cast_after(Duration, M, CastOptions = {}) const
      requires(!CastOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCast cast_after(Duration, Parts&&...) const
      requires(!CastOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCast cast_at(WallTime, M, CastOptions = {}) const
      requires(!CastOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCast cast_at(WallTime, Parts&&...) const
      requires(!CastOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCast cast_in(Transaction&, M) const requires(!CastOf<M, B>) = delete;
  template <class M, class... Parts>
  TheBehaviourHasNoHandleCast cast_in(Transaction&, Parts&&...) const
      requires(!CastOf<M, B> && NoneIs<M, Parts...>) = delete;
  template <class M>
  TheBehaviourHasNoHandleCall result_of(std::string_view) const
      requires(!CallOf<M, B> && !CastOf<M, B>) = delete;
};

}  // namespace internal
}  // namespace semper
