// TraceContext: which trace a piece of work belongs to, as W3C Trace Context says it.
//
// What for: following one request through processes. A message carries the context of whoever sent
// it (RawRef::traced, Context::trace), and spans (env/spans.h) say what became of it.
//
//   const auto request = semper::TraceContext::parse(header("traceparent"), header("tracestate"));
//   const semper::TraceContext trace =
//       request ? *request : semper::TraceContext::start(random, semper::Sampled::no);
//   const auto hits = semper::ref<Counter>(store, "page/home").traced(trace);
//
// When not: to name or to authenticate a caller. Whoever sends a header chooses what is in it.
//
// A plain value. Source of the idea: W3C Trace Context, https://www.w3.org/TR/trace-context/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/result.h"
#include "semper/env/random.h"

namespace semper {

// A longer tracestate, or one of more members, loses its last members, as W3C asks.
inline constexpr std::size_t kTraceStateBytes = 512;
inline constexpr std::size_t kTraceStateMembers = 32;

using TraceId = std::array<std::uint8_t, 16>;
using SpanId = std::array<std::uint8_t, 8>;

// Whether the spans of a trace are recorded. Whoever begins a trace decides.
enum class Sampled : std::uint8_t { no, yes };

struct TraceContext {
  TraceId trace_id{};      // not all zero
  SpanId span_id{};        // of the work that is the parent of what comes next; not all zero
  std::uint8_t flags = 0;  // bit 0: sampled. The others are passed on.
  std::string state = {};  // tracestate: what vendors add; empty: nothing

  bool is_sampled() const { return (flags & 1) != 0; }

  // The two headers. Error invalid_argument: the traceparent is not one. W3C asks to begin a new
  // trace then. A version above 00 is read as 00, as far as that goes; ff is refused. A tracestate
  // that is not well-formed is dropped, and the trace is not.
  static Result<TraceContext> parse(std::string_view traceparent, std::string_view tracestate = {});
  // A new trace.
  static TraceContext start(Random& random, Sampled sampled);

  // The same trace, for the children of a new span.
  TraceContext child(Random& random) const;

  // "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".
  std::string traceparent() const;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

}  // namespace semper
