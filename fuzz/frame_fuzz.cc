// Any bytes as a message of a Pipe or State RPC: what was understood is sent and understood again,
// and frames take memory in proportion to their bytes.
#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/rpc/frame.h"

namespace semper::fuzz {

std::vector<Bytes> seeds() {
  rpc::StreamRequest request{"what", "token"};
  rpc::StreamFrame first;
  first.begin = rpc::StreamFrame::Begin::fresh;
  first.state = Bytes(200, 's');
  first.metadata = "m";
  rpc::StreamFrame later;
  later.resume_token = "t";
  later.updates = {"a", "", Bytes(130, 'b')};
  return {rpc::encode_request(request), rpc::encode_frame(first), rpc::encode_frame(later),
          Bytes("\x32\x00\x39\x01\x02\x03\x04\x05\x06\x07\x08", 11)};
}

void check(BytesView input) {
  if (const auto request = rpc::decode_request(input)) {
    const Bytes sent = rpc::encode_request(*request);
    const auto again = rpc::decode_request(sent);
    SEMPER_ASSERT(again.has_value(), "a request that was understood can be sent");
    SEMPER_ASSERT(again->request == request->request, "its content is the same");
    SEMPER_ASSERT(again->resume_after == request->resume_after, "its place is the same");
    SEMPER_ASSERT(sent.size() <= input.size() + 8, "and it is not longer");
  }
  if (const auto frame = rpc::decode_frame(input)) {
    const Bytes sent = rpc::encode_frame(*frame);
    const auto again = rpc::decode_frame(sent);
    SEMPER_ASSERT(again.has_value(), "a frame that was understood can be sent");
    SEMPER_ASSERT(again->begin == frame->begin && again->state == frame->state, "the same begin");
    SEMPER_ASSERT(again->metadata == frame->metadata, "the same metadata");
    SEMPER_ASSERT(again->resume_token == frame->resume_token, "the same token");
    SEMPER_ASSERT(again->updates == frame->updates, "the same updates");
    SEMPER_ASSERT(rpc::encode_frame(*again) == sent, "one frame has one encoding");
  }
}

}  // namespace semper::fuzz
