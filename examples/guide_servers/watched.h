// A shop that is seen from outside: metrics, traces, and a host that writes its spans to a file.
//
// The guide to durable servers (docs/guide-servers.md) quotes this file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "basket.h"
#include "semper/env/span_file.h"
#include "semper/env/span_sender.h"
#include "semper/env/trace_context.h"
#include "stock.h"

namespace guide {

// Reserves an article for a request that has these headers; they may be empty.
inline semper::Async<std::int64_t> reserve_traced(semper::Tenant shop, std::string article,
                                                  std::string traceparent, std::string tracestate,
                                                  semper::SpanBuffer* spans) {
  auto trace = semper::TraceContext::parse(traceparent, tracestate);
  if (!trace) trace = semper::TraceContext::start(semper::system_random(), semper::Sampled::yes);
  const auto stock = semper::ref<Stock>(shop, article).traced(*trace, spans);
  const Stock::Reserve one{1};
  co_return co_await stock.call(one);
}

// Sends spans where OpenTelemetry's variables say; null: they say nothing.
inline semper::Result<std::unique_ptr<semper::SpanSender>> make_sender() {
  SEMPER_TRY(auto sender, semper::SpanSender::from_environment());
  return sender;
}

}  // namespace guide
