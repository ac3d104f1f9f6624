// Server-streaming calls as PipeStream and StateStream: dispatch functions for durable/stream.h.
//
// What for: a stream over a durable channel. When not: one answer (call.h).
//
//   using Prices = semper::StateStream<Table, Row>;
//   auto prices = Prices::create(executor, channel,                      // a Durable<rpc::Channel>
//                                rpc::subscribe<Prices>("/prices.Prices/Watch", request));
//
// subscribe() uses the convention of frame.h, with resume tokens: a State RPC for a StateStream, a
// Pipe RPC for a PipeStream. semper::decode reads state, updates and metadata.
//
// For servers that do not know this convention, subscribe_messages() treats each message of any
// server-streaming method as one update and, for a StateStream, the first message as the state.
// `decode` takes the message's Bytes and returns a Result. There are no resume tokens. Such a
// PipeStream reports ConnectionSuccess as soon as the call is sent; if the server refuses, that is
// the reason of the LostConnection that follows.
//
// Errors: before the first message, those of call.h: as FailedToConnect if the connection failed
// (MessageStream::was_lost), and as RpcError if the server refused. Later, as the reason of
// LostConnection. invalid_argument if a message cannot be decoded, or is larger than
// ChannelOptions::max_message_bytes: the connection is given up, and the stream does not request
// the same message again and again (stream_events.h). Set StreamOptions::dispatch_deadline to guard
// against a server that accepts the call and then stays silent.
//
// Threads: those of the stream.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "semper/durable/stream.h"
#include "semper/rpc/call.h"
#include "semper/rpc/internal/subscription.h"

namespace semper::rpc {

template <class Stream>
auto subscribe(std::string method, Bytes request = {}, CallOptions options = CallOptions()) {
  return [method = std::move(method), request = std::move(request), options = std::move(options)](
             Channel& channel, stream::DispatchRequest dispatch) {
    return internal::begin<typename Stream::Connection>(channel, method, request, options,
                                                        std::move(dispatch));
  };
}

template <class Stream, class Decode>
auto subscribe_messages(std::string method, Bytes request, Decode decode,
                        CallOptions options = CallOptions()) {
  static_assert(!Stream::kHasState, "a StateStream needs a function that decodes its state too");
  auto shared = std::make_shared<Decode>(std::move(decode));
  return [method = std::move(method), request = std::move(request), options = std::move(options),
          shared](Channel& channel, stream::DispatchRequest) {
    return internal::begin_messages<typename Stream::Connection>(channel, method, request, options,
                                                                 std::shared_ptr<Decode>(), shared);
  };
}

template <class Stream, class DecodeState, class Decode>
auto subscribe_messages(std::string method, Bytes request, DecodeState decode_state, Decode decode,
                        CallOptions options) {
  static_assert(Stream::kHasState, "a PipeStream has no state to decode");
  auto state = std::make_shared<DecodeState>(std::move(decode_state));
  auto update = std::make_shared<Decode>(std::move(decode));
  return [method = std::move(method), request = std::move(request), options = std::move(options),
          state, update](Channel& channel, stream::DispatchRequest) {
    return internal::begin_messages<typename Stream::Connection>(channel, method, request, options,
                                                                 state, update);
  };
}

}  // namespace semper::rpc
