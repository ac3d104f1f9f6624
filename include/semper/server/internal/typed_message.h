// What a Ref and a Batch make of messages and replies that have types.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "semper/base/codec.h"
#include "semper/base/type_name.h"
#include "semper/env/asio.h"
#include "semper/server/idempotency_key.h"
#include "semper/server/message.h"

namespace semper::internal {

// What deleted overloads return: the compiler prints it with "use of deleted function".
struct TheBehaviourHasNoHandleCall;
struct TheBehaviourHasNoHandleCast;
struct TheBehaviourHasNoHandleInfo;

template <class M>
RawMessage raw_message(const M& message) {
  return {std::string(short_type_name<M>()), encode(message)};
}

template <class Reply>
Async<Reply> decode_reply(Async<Bytes> call) {
  SEMPER_CO_TRY(Bytes reply, co_await std::move(call));
  co_return decode<Reply>(reply);
}

template <class Reply>
Async<KeyedReply<Reply>> decode_result(Async<KeyedReply<Bytes>> asked) {
  SEMPER_CO_TRY(const auto known, co_await std::move(asked));
  KeyedReply<Reply> result;
  result.state = static_cast<typename KeyedReply<Reply>::State>(known.state);
  result.kept_until = known.kept_until;
  if (!known.reply) co_return result;
  if (!*known.reply) {
    result.reply.emplace(fail(known.reply->error()));
  } else if constexpr (std::is_void_v<Reply>) {
    result.reply.emplace();
  } else if (!(*known.reply)->empty()) {  // else it was sent as a cast
    result.reply.emplace(decode<Reply>(**known.reply));
  }
  co_return result;
}

}  // namespace semper::internal
