#include "semper/rpc/subscribe.h"

namespace semper::rpc::internal {

Error ended_early(const std::string& method) {
  return Error(ErrorKind::closed, method + ": the server ended the call before its first message");
}

Async<std::optional<StreamFrame>> next_frame(MessageStream& messages) {
  SEMPER_CO_TRY(auto message, co_await messages.next());
  std::optional<StreamFrame> frame;
  if (!message) co_return frame;
  SEMPER_CO_TRY(frame, decode_frame(*message));
  if (frame->begin != StreamFrame::Begin::no) {
    co_return fail(ErrorKind::invalid_argument, "a frame in the middle of a stream begins it anew");
  }
  co_return frame;
}

Async<StreamFrame> first_frame(MessageStream& messages, bool has_state) {
  SEMPER_CO_TRY(auto message, co_await messages.next());
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
