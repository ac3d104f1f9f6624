// SpanSender: sends spans (env/spans.h) to an OpenTelemetry collector on this machine, by OTLP/HTTP
// with JSON.
//
//   const auto sender = semper::SpanSender::start("http://localhost:4318");
//   if (!sender) std::cerr << sender.error().to_string() << '\n';
//   semper::HostOptions options;
//   options.spans = &(*sender)->spans();     // the sender outlives the host
//
// What for: a collector or an agent on this machine, whose receiver `otlp` listens on HTTP. When
// not: a collector elsewhere (the connection is not encrypted, so only loopback addresses are
// taken; let an agent on this machine pass the spans on), or one that reads files (SpanFile).
//
// A thread of its own sends what is recorded; what comes while a request is under way goes into the
// next one, so nobody waits for the collector. Spans are lost, and counted, when the buffer is full
// (SpanBuffer::dropped), and when the collector refuses them or is away for too long (lost): a
// request that fails for a reason that may pass (no connection, no answer, or 429, 502, 503, 504)
// is sent again after pauses that grow from kSpanRetryFirst to kSpanRetryLast, with the same spans.
// A collector may so get spans twice. The first failure in a row is logged. No failure reaches the
// program's work. A process that is killed loses what waits in memory; the destructor sends that
// first, for at most SpanSenderOptions::flush. After fork(): the child's is without effect.
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/base/result.h"
#include "semper/base/time.h"
#include "semper/env/spans.h"

namespace semper {

inline constexpr Duration kSpanRetryFirst = std::chrono::milliseconds(200);
inline constexpr Duration kSpanRetryLast = std::chrono::seconds(10);

struct SpanSenderOptions {
  SpanBufferOptions buffer = {};
  // For one request, with its answer.
  Duration timeout = std::chrono::seconds(10);
  // For what waits when the sender is destroyed.
  Duration flush = std::chrono::seconds(5);
  // Sent with each request, in addition to its own.
  std::vector<std::pair<std::string, std::string>> headers = {};
};

class SpanSender {
 public:
  // The endpoint is http://HOST[:PORT][/PATH], with a loopback HOST: localhost, 127.x.x.x or [::1].
  // Without a path, it is /v1/traces; without a port, 4318. The collector need not be there yet.
  // Errors: invalid_argument (no such address, or a header with a line end), unsupported (https, or
  // a host elsewhere), exhausted (no thread).
  static Result<std::unique_ptr<SpanSender>> start(std::string endpoint,
                                                   SpanSenderOptions options = {});

  // As the variables of OpenTelemetry say: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, taken as it is, or
  // OTEL_EXPORTER_OTLP_ENDPOINT, with /v1/traces behind it; OTEL_SERVICE_NAME;
  // OTEL_EXPORTER_OTLP_HEADERS and _TIMEOUT (milliseconds). Null if no endpoint is set. Errors:
  // those of start; also unsupported if OTEL_EXPORTER_OTLP_PROTOCOL is not http/json.
  static Result<std::unique_ptr<SpanSender>> from_environment(SpanSenderOptions options = {});

  ~SpanSender();
  SpanSender(const SpanSender&) = delete;
  SpanSender& operator=(const SpanSender&) = delete;

  // Lives as long as the sender.
  SpanBuffer& spans();
  std::uint64_t sent() const;  // spans that the collector has taken
  // Spans that were recorded, and that the collector refused or was not there for.
  std::uint64_t lost() const;

 private:
  struct Worker;
  explicit SpanSender(std::unique_ptr<Worker> worker);

  std::unique_ptr<Worker> worker_;
};

}  // namespace semper
