// MessageTrace: the trace that a message belongs to, as it travels with it.
//
// In a RawMessage, from the Ref through the queue to the callback, and in a timer's row. In a
// segment, a traced message is one of a kind of its own around the message (docs/formats.md):
// programs that do not know that kind leave the segment to newer ones, and messages without a trace
// are as before.
#pragma once

#include <cstdint>
#include <memory>

#include "semper/base/cbor.h"
#include "semper/env/trace_context.h"

namespace semper::internal {

struct MessageTrace {
  TraceContext context;  // its span is that of the sending, or of whoever sent it
  // By the sender's calendar, in microseconds since 1970: where the span of the waiting begins. For
  // people; 0: not known.
  std::int64_t sent_us = 0;

  friend bool operator==(const MessageTrace&, const MessageTrace&) = default;
};
using TracePointer = std::shared_ptr<const MessageTrace>;

// What it adds to a message, at most.
std::size_t queued_size(const MessageTrace* trace);

// [context, sent, state]: 25 bytes (trace id, span id, flags), a number, a text. A later version
// may add to it.
void write_trace(cbor::Writer& writer, const MessageTrace& trace);
bool read_trace(cbor::Reader& reader, TracePointer& trace);

}  // namespace semper::internal
