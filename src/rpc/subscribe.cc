#include "semper/rpc/subscribe.h"

namespace semper::rpc::internal {

Error ended_early(const std::string& method) {
  return Error(ErrorKind::closed, method + ": the server ended the call before its first message");
}

tl::unexpected<stream::DispatchFailure> no_connection(const MessageStream& messages, Error error) {
  if (messages.was_lost()) return stream::failed_to_connect(std::move(error));
  return stream::rpc_error(std::move(error));
}

Async<std::optional<Bytes>> next_message(MessageStream& messages) {
  auto message = co_await messages.next();
  // gRPC's own words; where it is Go's, they begin in lower case.
  if (!message && message.error().kind() == ErrorKind::exhausted &&
      message.error().message().find("eceived message larger than max") != std::string::npos) {
    co_return fail(ErrorKind::invalid_argument,
                   message.error().message() + "; raise ChannelOptions::max_message_bytes");
  }
  co_return message;
}

Async<std::optional<StreamFrame>> next_frame(MessageStream& messages) {
  SEMPER_CO_TRY(auto message, co_await next_message(messages));
  std::optional<StreamFrame> frame;
  if (!message) co_return frame;
  SEMPER_CO_TRY(frame, decode_frame(*message));
  if (frame->begin != StreamFrame::Begin::no) {
    co_return fail(ErrorKind::invalid_argument, "a frame in the middle of a stream begins it anew");
  }
  co_return frame;
}

Async<StreamFrame> first_frame(MessageStream& messages, bool has_state) {
  SEMPER_CO_TRY(auto message, co_await next_message(messages));
  if (!message) co_return fail(ended_early("a stream"));
  SEMPER_CO_TRY(auto frame, decode_frame(*message));
  if (frame.begin == StreamFrame::Begin::no) {
    co_return fail(ErrorKind::invalid_argument, "the first frame does not begin the stream");
  }
  const bool state_due = has_state && frame.begin == StreamFrame::Begin::fresh;
  if (state_due != frame.state.has_value()) {
    co_return fail(ErrorKind::invalid_argument,
                   state_due ? "the first frame has no state" : "the first frame has a state");
  }
  co_return frame;
}

}  // namespace semper::rpc::internal
