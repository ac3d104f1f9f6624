#include "server/format/message_trace.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace semper::internal {
namespace {

constexpr std::uint64_t kTraceFields = 3;
constexpr std::size_t kContextBytes = sizeof(TraceId) + sizeof(SpanId) + 1;
// The heads of its items and of the message inside.
constexpr std::size_t kTraceOverheadBytes = 24;

}  // namespace

std::size_t queued_size(const MessageTrace* trace) {
  return trace == nullptr ? 0 : kContextBytes + trace->context.state.size() + kTraceOverheadBytes;
}

void write_trace(cbor::Writer& writer, const MessageTrace& trace) {
  const auto& context = trace.context;
  writer.array(kTraceFields);
  Bytes ids(context.trace_id.begin(), context.trace_id.end());
  ids.append(context.span_id.begin(), context.span_id.end());
  ids.push_back(static_cast<char>(context.flags));
  writer.bytes(ids);
  writer.integer(trace.sent_us);
  writer.text(context.state);
}

bool read_trace(cbor::Reader& reader, TracePointer& trace) {
  std::uint64_t fields = 0;
  BytesView ids;
  std::string_view state;
  MessageTrace read;
  bool ok = reader.read_array(fields) &&
            (fields >= kTraceFields || reader.fail("a trace of too few fields")) &&
            reader.read_bytes(ids) &&
            (ids.size() == kContextBytes || reader.fail("a trace's ids of another size")) &&
            reader.read_signed(read.sent_us) && reader.read_text(state) &&
            (state.size() <= kTraceStateBytes || reader.fail("a tracestate that is too long"));
  for (std::uint64_t i = kTraceFields; ok && i < fields; ++i) ok = reader.skip();
  if (!ok) return false;
  auto& context = read.context;
  const auto span = ids.begin() + static_cast<std::ptrdiff_t>(context.trace_id.size());
  std::copy(ids.begin(), span, context.trace_id.begin());
  std::copy(span, span + static_cast<std::ptrdiff_t>(context.span_id.size()),
            context.span_id.begin());
  context.flags = static_cast<std::uint8_t>(ids.back());
  context.state = state;
  trace = std::make_shared<const MessageTrace>(std::move(read));
  return true;
}

}  // namespace semper::internal
