// FailureNote: the runs of a queue's first message that failed, whichever hosts and processes they
// were of.
//
// Written by the host whose run failed, in a commit of its own; taken away by the commit that takes
// the message from the queue. It is of the message at `place` only: where the queue's head is
// another one, it was left behind by a host that had not seen it, and says nothing.
#pragma once

#include <cstdint>
#include <string>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

// (1, type, id, 9). CBOR: [stamp, offset, attempts, first, last, next, host, reason]; a later
// version may add to it.
struct FailureNote {
  Versionstamp segment;
  std::uint32_t offset = 0;
  std::uint64_t attempts = 0;
  std::int64_t first_ms = 0;  // wall clocks, for people
  std::int64_t last_ms = 0;
  std::int64_t next_ms = 0;  // it is run again then
  std::string host;          // of the last run
  std::string reason;        // of the last failure

  bool is_of(const Versionstamp& stamp, std::uint32_t place) const {
    return segment == stamp && offset == place;
  }

  Bytes encode() const;
  static Result<FailureNote> decode(BytesView bytes);
};

}  // namespace semper::internal
