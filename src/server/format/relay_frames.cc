#include "server/format/relay_frames.h"

#include <utility>

#include "semper/base/cbor.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kFormat = 1;
enum class Kind : std::uint64_t { hello = 0, casts = 1, answers = 2, goodbye = 3 };
// Behind its kind.
constexpr std::uint64_t kHelloElements = 2;
constexpr std::uint64_t kUnitElements = 3;

// The head of a message of that kind; `elements` is what follows the kind.
bool read_head(cbor::Reader& reader, Kind wanted, std::uint64_t& elements) {
  std::uint64_t kind = 0;
  if (!reader.read_array(elements)) return false;
  if (elements == 0) return reader.fail("a message of no kind between neighbours");
  if (!reader.read_unsigned(kind)) return false;
  --elements;
  return kind == static_cast<std::uint64_t>(wanted) ||
         reader.fail("a message of kind " + std::to_string(kind) + " between neighbours");
}

Error unreadable(const cbor::Reader& reader) {
  return reader.error().in("what a neighbour said");
}

bool read_unit(cbor::Reader& reader, RelayUnit& unit, Status& segment) {
  std::uint64_t elements = 0;
  std::string_view id;
  BytesView bytes;
  if (!reader.read_array(elements) || !reader.read_unsigned(unit.number) || !reader.read_text(id) ||
      !reader.read_bytes(bytes)) {
    return false;
  }
  if (elements != kUnitElements) return reader.fail("casts of another form");
  unit.id = id;
  auto messages = decode_segment(bytes);
  if (!messages) {
    segment = fail(messages.error());
    return reader.fail("a segment that cannot be read");
  }
  for (auto& message : *messages) {
    const bool is_cast = message.event == Event::cast && !message.tick && !message.key;
    if (!is_cast) return reader.fail("a message that is no plain cast");
    unit.messages.push_back(std::move(message.content));
  }
  return !unit.messages.empty() || reader.fail("casts without a message");
}

}  // namespace

Bytes relay_topic(BytesView tenant_prefix, std::string_view type) {
  Bytes topic;
  cbor::Writer writer(topic);
  writer.array(3);
  writer.text("casts");
  writer.bytes(tenant_prefix);
  writer.text(type);
  return topic;
}

Bytes encode_relay_hello(BytesView session) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(3);
  writer.unsigned_integer(static_cast<std::uint64_t>(Kind::hello));
  writer.unsigned_integer(kFormat);
  writer.bytes(session);
  return out;
}

Result<Bytes> decode_relay_hello(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  BytesView session;
  const bool ok = read_head(reader, Kind::hello, elements) &&
                  (elements == kHelloElements || reader.fail("a hello of another form")) &&
                  reader.read_unsigned(format) &&
                  (format == kFormat || reader.fail("format " + std::to_string(format))) &&
                  reader.read_bytes(session) && reader.finish();
  if (!ok) return fail(unreadable(reader));
  return Bytes(session);
}

void RelayCastsWriter::add(std::uint64_t number, std::string_view id, Bytes segment) {
  cbor::Writer writer(body_);
  writer.array(kUnitElements);
  writer.unsigned_integer(number);
  writer.text(id);
  writer.bytes(segment);
  ++count_;
}

Bytes RelayCastsWriter::finish() {
  Bytes out;
  out.reserve(body_.size() + 32);
  cbor::Writer writer(out);
  writer.array(2 + count_);
  writer.unsigned_integer(static_cast<std::uint64_t>(Kind::casts));
  writer.unsigned_integer(floor_);
  writer.raw(body_);
  return out;
}

Result<RelayCasts> decode_relay_casts(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t elements = 0;
  RelayCasts casts;
  Status segment;
  bool ok = read_head(reader, Kind::casts, elements) && reader.read_unsigned(casts.floor);
  const std::uint64_t units = ok ? elements - 1 : 0;
  ok = ok && (units <= kRelayUnitsPerMessage || reader.fail("too many casts in one message"));
  if (ok) casts.units.resize(units);
  for (std::uint64_t i = 0; ok && i < units; ++i) ok = read_unit(reader, casts.units[i], segment);
  ok = ok && reader.finish();
  if (!segment) return fail(segment.error());
  if (!ok) return fail(unreadable(reader));
  return casts;
}

Bytes encode_relay_answers(const RelayAnswers& answers) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(1 + answers.size());
  writer.unsigned_integer(static_cast<std::uint64_t>(Kind::answers));
  for (const auto& [number, answer] : answers) {
    writer.array(2);
    writer.unsigned_integer(number);
    writer.unsigned_integer(static_cast<std::uint64_t>(answer));
  }
  return out;
}

Result<RelayAnswers> decode_relay_answers(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t elements = 0;
  bool ok = read_head(reader, Kind::answers, elements);
  RelayAnswers answers;
  for (std::uint64_t i = 0; ok && i < elements; ++i) {
    std::uint64_t pair = 0;
    std::uint64_t number = 0;
    std::uint64_t answer = 0;
    ok = reader.read_array(pair) && reader.read_unsigned(number) && reader.read_unsigned(answer) &&
         ((pair == 2 && answer <= 1) || reader.fail("an answer that is none"));
    if (ok) answers.emplace_back(number, static_cast<RelayAnswer>(answer));
  }
  ok = ok && reader.finish();
  if (!ok) return fail(unreadable(reader));
  return answers;
}

Bytes encode_relay_goodbye() {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(1);
  writer.unsigned_integer(static_cast<std::uint64_t>(Kind::goodbye));
  return out;
}

bool is_relay_goodbye(BytesView bytes) {
  return bytes == encode_relay_goodbye();
}

Bytes encode_relay_mark(const std::vector<std::uint64_t>& numbers) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(numbers.size());
  for (const auto number : numbers) writer.unsigned_integer(number);
  return out;
}

Result<std::vector<std::uint64_t>> decode_relay_mark(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t count = 0;
  std::vector<std::uint64_t> numbers;
  bool ok = reader.read_array(count);
  for (std::uint64_t i = 0; ok && i < count; ++i) {
    ok = reader.read_unsigned(numbers.emplace_back());
  }
  ok = ok && reader.finish();
  if (!ok) {
    const Error error = reader.error();
    return fail(ErrorKind::corrupt, "a mark of what a host has taken: " + error.message());
  }
  return numbers;
}

}  // namespace semper::internal
