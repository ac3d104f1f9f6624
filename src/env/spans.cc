#include "semper/env/spans.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string_view>

#include "semper/base/bytes.h"

namespace semper {
namespace {

void append_string(std::string& out, std::string_view value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::string text = is_utf8(value) ? std::string(value) : to_printable(value, value.size());
  out.push_back('"');
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (code < 0x20) {
      out += "\\u00";
      out.push_back(kDigits[code >> 4]);
      out.push_back(kDigits[code & 0xf]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

template <std::size_t size>
void append_id(std::string& out, const std::array<std::uint8_t, size>& id) {
  const std::string_view bytes(reinterpret_cast<const char*>(id.data()), id.size());
  out.append("\"").append(to_hex(bytes)).append("\"");
}

// 64 bits are text in OTLP's JSON.
void append_time(std::string& out, WallTime time) {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch());
  const auto count = std::max<std::int64_t>(since.count(), 0);
  out.append("\"").append(std::to_string(count)).append("\"");
}

void append_attribute(std::string& out, std::string_view key, std::string_view value) {
  out += "{\"key\":";
  append_string(out, key);
  out += ",\"value\":{\"stringValue\":";
  append_string(out, value);
  out += "}}";
}

void append_span(std::string& out, const Span& span) {
  out += "{\"traceId\":";
  append_id(out, span.context.trace_id);
  out += ",\"spanId\":";
  append_id(out, span.context.span_id);
  if (span.parent != SpanId{}) {
    out += ",\"parentSpanId\":";
    append_id(out, span.parent);
  }
  if (!span.context.state.empty()) {
    out += ",\"traceState\":";
    append_string(out, span.context.state);
  }
  out += ",\"flags\":" + std::to_string(span.context.flags);
  out += ",\"name\":";
  append_string(out, span.name);
  out += ",\"kind\":" + std::to_string(static_cast<int>(span.kind));
  out += ",\"startTimeUnixNano\":";
  append_time(out, span.start);
  out += ",\"endTimeUnixNano\":";
  append_time(out, std::max(span.start, span.end));
  out += ",\"attributes\":[";
  for (std::size_t i = 0; i < span.attributes.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_attribute(out, span.attributes[i].first, span.attributes[i].second);
  }
  out += "]";
  if (span.error) {
    constexpr int kStatusError = 2;
    out += ",\"status\":{\"code\":" + std::to_string(kStatusError) + ",\"message\":";
    append_string(out, *span.error);
    out += "}";
  }
  out += "}";
}

}  // namespace

struct SpanBuffer::State {
  explicit State(SpanBufferOptions given) : options(std::move(given)) {}

  const SpanBufferOptions options;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<Span> spans;  // guarded by the mutex, as what follows
  std::uint64_t recorded = 0;
  std::uint64_t dropped = 0;
  bool is_closed = false;
};

SpanBuffer::SpanBuffer(SpanBufferOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}
SpanBuffer::~SpanBuffer() = default;

void SpanBuffer::add(Span span) {
  if (!span.context.is_sampled()) return;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->is_closed || state_->spans.size() >= state_->options.max_spans) {
      ++state_->dropped;
      return;
    }
    ++state_->recorded;
    state_->spans.push_back(std::move(span));
  }
  state_->changed.notify_one();
}

std::string SpanBuffer::take_line() {
  std::vector<Span> taken;
  {
    std::lock_guard lock(state_->mutex);
    auto& spans = state_->spans;
    const std::size_t count = std::min(spans.size(), kSpansPerLine);
    const auto end = spans.begin() + static_cast<std::ptrdiff_t>(count);
    taken.assign(std::make_move_iterator(spans.begin()), std::make_move_iterator(end));
    spans.erase(spans.begin(), end);
  }
  if (taken.empty()) return {};
  std::string line = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[";
  append_attribute(line, "service.name", state_->options.service);
  line += "]},\"scopeSpans\":[{\"scope\":{\"name\":\"semper\"},\"spans\":[";
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (i > 0) line.push_back(',');
    append_span(line, taken[i]);
  }
  return line + "]}]}]}";
}

bool SpanBuffer::wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->is_closed || !state_->spans.empty(); });
  return !state_->spans.empty();
}

void SpanBuffer::close() {
  {
    std::lock_guard lock(state_->mutex);
    state_->is_closed = true;
  }
  state_->changed.notify_all();
}

std::size_t SpanBuffer::size() const {
  std::lock_guard lock(state_->mutex);
  return state_->spans.size();
}

std::uint64_t SpanBuffer::recorded() const {
  std::lock_guard lock(state_->mutex);
  return state_->recorded;
}

std::uint64_t SpanBuffer::dropped() const {
  std::lock_guard lock(state_->mutex);
  return state_->dropped;
}

}  // namespace semper
