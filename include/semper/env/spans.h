// Spans: what was done for a trace, from when to when; and where they wait to be exported.
//
//   semper::SpanBuffer spans({.service = "billing"});    // outlives the hosts that it is given to
//   semper::HostOptions options;
//   options.spans = &spans;
//   ...
//   std::string line = spans.take_line();                // OTLP as JSON; empty: there is nothing
//
// What for: exporting spans by SpanFile (env/span_file.h), SpanSender (env/span_sender.h), or an
// exporter of your own. When not: counts and rates (base/metrics.h) and events (base/log.h).
//
// A line is an ExportTraceServiceRequest of OTLP in its JSON encoding: what the receiver
// `otlpjsonfile` of the OpenTelemetry collector reads from a file, one a line, and what its
// receiver `otlp` takes at POST /v1/traces.
//
// A full buffer drops new spans, and counts them: recording never waits. Spans live in
// memory until they are taken: a process that ends loses them. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/base/time.h"
#include "semper/env/trace_context.h"

namespace semper {

// The numbers of OTLP.
enum class SpanKind : std::uint8_t {
  internal = 1,
  server = 2,
  client = 3,
  producer = 4,
  consumer = 5
};

struct Span {
  TraceContext context;  // its trace, and its own id
  SpanId parent{};       // all zero: none
  std::string name;
  SpanKind kind = SpanKind::internal;
  WallTime start;
  WallTime end;
  std::vector<std::pair<std::string, std::string>> attributes = {};
  std::optional<std::string> error = std::nullopt;  // why it failed
};

// Default of SpanBufferOptions::max_spans: about 2 MiB.
inline constexpr std::size_t kSpansMaximum = 4'096;
// Spans of one line.
inline constexpr std::size_t kSpansPerLine = 256;

struct SpanBufferOptions {
  // The resource's service.name.
  std::string service = "semper";
  // Spans that wait. More are dropped, and counted.
  std::size_t max_spans = kSpansMaximum;
};

class SpanBuffer {
 public:
  explicit SpanBuffer(SpanBufferOptions options = {});
  ~SpanBuffer();
  SpanBuffer(const SpanBuffer&) = delete;
  SpanBuffer& operator=(const SpanBuffer&) = delete;

  // Spans of traces that are not sampled are ignored.
  void add(Span span);

  // The oldest spans, up to kSpansPerLine, as one line without its end; empty: there are none.
  std::string take_line();
  // Blocks the thread until there are spans: true; or until close(): false, when all were taken.
  bool wait();
  // Nothing is added any more.
  void close();

  std::size_t size() const;        // spans that wait
  std::uint64_t recorded() const;  // spans added so far
  std::uint64_t dropped() const;   // spans that found no room

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace semper
