// The dispatch functions of subscribe.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "semper/base/codec.h"
#include "semper/durable/stream.h"
#include "semper/rpc/call.h"
#include "semper/rpc/frame.h"

namespace semper::rpc::internal {

template <class C>
struct ConnectionTypes;
template <class S, class U, class M>
struct ConnectionTypes<stream::Connection<S, U, M>> {
  using State = S;
  using Update = U;
  using Metadata = M;
};

// The next message. One that is larger than may be received is `invalid_argument`: it would come
// again.
Async<std::optional<Bytes>> next_message(MessageStream& messages);
// The next frame; nothing at the end.
Async<std::optional<StreamFrame>> next_frame(MessageStream& messages);
// The first one, checked: begins the stream, with a state where one is due.
Async<StreamFrame> first_frame(MessageStream& messages, bool has_state);
Error ended_early(const std::string& method);
// What became of a call that brought no connection.
tl::unexpected<stream::DispatchFailure> no_connection(const MessageStream& messages, Error error);

template <class U>
class FrameSource final : public stream::UpdateSource<U> {
 public:
  explicit FrameSource(MessageStream messages) : messages_(std::move(messages)) {}

  Async<std::optional<stream::UpdateBatch<U>>> next() override {
    SEMPER_CO_TRY(auto frame, co_await next_frame(messages_));
    std::optional<stream::UpdateBatch<U>> batch;
    if (!frame) co_return batch;
    batch.emplace();
    batch->resume_token = std::move(frame->resume_token);
    batch->updates.reserve(frame->updates.size());
    for (const auto& bytes : frame->updates) {
      SEMPER_CO_TRY(auto update, decode<U>(bytes));
      batch->updates.push_back(std::move(update));
    }
    co_return batch;
  }

 private:
  MessageStream messages_;
};

template <class Connection>
Task<stream::Dispatched<Connection>> begin(Channel channel, std::string method, Bytes request,
                                           CallOptions options, stream::DispatchRequest dispatch) {
  using Types = ConnectionTypes<Connection>;
  constexpr bool kHasState = !std::is_same_v<typename Types::State, stream::NoState>;
  StreamRequest asked;
  asked.request = std::move(request);
  asked.resume_after = std::move(dispatch.resume_after);
  auto messages = open_stream(channel, method, encode_request(asked), options);
  auto frame = co_await first_frame(messages, kHasState);
  if (!frame) co_return no_connection(messages, std::move(frame).error());
  Connection connection(nullptr);
  if constexpr (kHasState) {
    if (frame->state) {
      auto state = decode<typename Types::State>(*frame->state);
      if (!state) co_return stream::rpc_error(state.error().in(method));
      connection.state = std::move(*state);
    }
  }
  if constexpr (!std::is_same_v<typename Types::Metadata, stream::NoMetadata>) {
    auto metadata = decode<typename Types::Metadata>(frame->metadata);
    if (!metadata) co_return stream::rpc_error(metadata.error().in(method));
    connection.metadata = std::move(*metadata);
  }
  if (frame->begin == StreamFrame::Begin::resumed) {
    connection.continuity = stream::Continuity::resumed;
  }
  connection.start_token = std::move(frame->resume_token);
  connection.updates = std::make_unique<FrameSource<typename Types::Update>>(std::move(messages));
  co_return connection;
}

template <class U, class Decode>
class DecodedSource final : public stream::UpdateSource<U> {
 public:
  DecodedSource(MessageStream messages, std::shared_ptr<Decode> decode)
      : messages_(std::move(messages)), decode_(std::move(decode)) {}

  Async<std::optional<stream::UpdateBatch<U>>> next() override {
    SEMPER_CO_TRY(auto message, co_await next_message(messages_));
    std::optional<stream::UpdateBatch<U>> batch;
    if (!message) co_return batch;
    SEMPER_CO_TRY(U update, (*decode_)(std::move(*message)));
    batch.emplace();
    batch->updates.push_back(std::move(update));
    co_return batch;
  }

 private:
  MessageStream messages_;
  std::shared_ptr<Decode> decode_;
};

template <class Connection, class DecodeState, class Decode>
Task<stream::Dispatched<Connection>> begin_messages(Channel channel, std::string method,
                                                    Bytes request, CallOptions options,
                                                    std::shared_ptr<DecodeState> decode_state,
                                                    std::shared_ptr<Decode> decode) {
  using Types = ConnectionTypes<Connection>;
  auto messages = open_stream(channel, method, std::move(request), options);
  Connection connection(nullptr);
  if constexpr (!std::is_same_v<typename Types::State, stream::NoState>) {
    auto first = co_await next_message(messages);
    if (!first) co_return no_connection(messages, std::move(first).error());
    if (!*first) co_return stream::rpc_error(ended_early(method));
    auto state = (*decode_state)(std::move(**first));
    if (!state) co_return stream::rpc_error(std::move(state).error());
    connection.state = std::move(*state);
  }
  connection.updates = std::make_unique<DecodedSource<typename Types::Update, Decode>>(
      std::move(messages), std::move(decode));
  co_return connection;
}

}  // namespace semper::rpc::internal
