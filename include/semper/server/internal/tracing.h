// Traces of messages (server/ref.h), by name only.
#pragma once

namespace semper::internal {

struct MessageTrace;  // a TraceContext (env/trace_context.h), and when the message was sent
struct Tracing;       // a TraceContext, and where spans go

}  // namespace semper::internal
