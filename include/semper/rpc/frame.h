// The messages of a Pipe RPC and a State RPC: the wire format, the same for all languages.
//
// What for: a client or server without Semper, and the tests. When not: a C++ program; subscribe.h
// and server.h write and read them.
//
// Both are server-streaming methods. In protobuf's language:
//
//   message StreamRequest {
//     bytes request = 1;                 // the program's own
//     optional bytes resume_after = 2;   // go on after this token, if you can
//   }
//   message StreamFrame {
//     enum Begin { NO = 0; FRESH = 1; RESUMED = 2; }
//     Begin begin = 1;                   // FRESH or RESUMED in the first frame, and only there
//     optional bytes state = 2;          // State RPC: in a first frame that is FRESH, only
//     bytes metadata = 3;                // first frame only
//     bytes resume_token = 4;            // where the stream is after this; empty: no resuming
//     repeated bytes updates = 5;        // one batch; not in the first frame
//   }
//
// So a State RPC is: the state, then batches of updates to it; a Pipe RPC the same without a state.
// RESUMED means that the updates continue directly after `resume_after`, with nothing lost or
// repeated. The contents of state, updates and metadata are up to the program; semper::encode by
// default. Unknown fields are skipped.
//
// Errors of the decoders: invalid_argument, naming the byte.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper::rpc {

struct StreamRequest {
  Bytes request;
  std::optional<Bytes> resume_after;
};

struct StreamFrame {
  enum class Begin : std::uint8_t { no = 0, fresh = 1, resumed = 2 };
  Begin begin = Begin::no;
  std::optional<Bytes> state;
  Bytes metadata;
  Bytes resume_token;
  std::vector<Bytes> updates;
};

Bytes encode_request(const StreamRequest& request);
Result<StreamRequest> decode_request(BytesView bytes);

Bytes encode_frame(const StreamFrame& frame);
Result<StreamFrame> decode_frame(BytesView bytes);

}  // namespace semper::rpc
