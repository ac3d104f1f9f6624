// OpenSpan: a span of a traced message that is under way; and the spans of one transaction, which
// are exported when it has committed.
//
// Spans are of what took effect, and of runs that failed: a run that is repeated because its commit
// lost to others leaves none. Where a trace is not sampled, or there is nowhere to record it,
// nothing is made and no random number drawn; the trace is carried on all the same.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "semper/env/env.h"
#include "semper/env/spans.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/context_fields.h"
#include "semper/server/message.h"
#include "server/format/message_trace.h"

namespace semper::internal {

struct OpenSpan {
  TracePointer trace;  // of what comes of it
  SpanId parent{};
  std::string name;
  SpanKind kind = SpanKind::internal;
  std::string entity;
  WallTime start;
  MonotonicTime began;
};

// Null: none is to be recorded. Named "DOING TYPE.MESSAGE".
std::unique_ptr<OpenSpan> open_span(const SpanBuffer* to, const Env& env,
                                    const TracePointer& parent, std::string_view doing,
                                    const EntityId& id, std::string_view message, SpanKind kind);
Span close_span(const OpenSpan& open, const Env& env, const std::optional<Error>& error);

// The same trace, in a message that is sent at this time.
TracePointer sent_at(const TraceContext& context, WallTime now);

struct SpansOfAttempt {
  explicit SpansOfAttempt(SpanBuffer& buffer) : to(buffer) {}

  struct Run {
    TraceContext context;
    std::string name;  // "TYPE.MESSAGE"
  };
  SpanBuffer& to;
  std::vector<Span> spans;
  std::vector<Run> runs;  // whose effects the commit is of
};

// A run has ended, of a message that was sent so, in a transaction that has spans. `since_us`: when
// the message began to wait in the queue; 0: it did not. Its spans go with the transaction, or,
// where it failed, out at once.
void end_run(const Env& env, const OpenSpan& open, const MessageTrace& sent, std::int64_t since_us,
             const std::optional<Error>& error, CallbackSends& sends);
// The transaction has committed; `began`: where it had to be, when its commit began.
void export_spans(CallbackSends& sends, const Env& env, std::optional<MonotonicTime> began);

// What a Ref's sends belong to.
struct Tracing {
  TraceContext context;
  SpanBuffer* spans = nullptr;
};

}  // namespace semper::internal
