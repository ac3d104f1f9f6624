#include "server/format/records.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "server/format/message_trace.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kKeyFields = 3;

}  // namespace

void write_key(cbor::Writer& writer, const MessageKey& key) {
  writer.array(kKeyFields);
  writer.text(key.text);
  writer.integer(key.retention_ms);
  writer.bytes(key.fingerprint);
}

bool read_key(cbor::Reader& reader, std::shared_ptr<const MessageKey>& out) {
  std::uint64_t fields = 0;
  std::string_view text;
  BytesView fingerprint;
  MessageKey key;
  bool ok = reader.read_array(fields) &&
            (fields >= kKeyFields || reader.fail("a key of too few fields")) &&
            reader.read_text(text) && reader.read_signed(key.retention_ms) &&
            (key.retention_ms > 0 || reader.fail("a key that is not retained")) &&
            reader.read_bytes(fingerprint);
  for (std::uint64_t i = kKeyFields; ok && i < fields; ++i) ok = reader.skip();
  if (!ok) return false;
  key.text = text;
  key.fingerprint = fingerprint;
  out = std::make_shared<const MessageKey>(std::move(key));
  return true;
}

namespace {

// Elements of one message on the queue: kind, name, payload, and for calls session and number.
constexpr std::uint64_t kCastElements = 3;
constexpr std::uint64_t kCallElements = 5;
// A cast that a timer sent has a kind of its own, and says of which tick it is.
constexpr std::uint64_t kTickKind = 3;
constexpr std::uint64_t kTickElements = 4;
constexpr std::uint64_t kTickFields = 6;
// A cast or call with an idempotency key has a kind of its own, too, so that programs that know no
// keys leave it alone; behind the elements of the other kind come the key's.
constexpr std::uint64_t kKeyedCastKind = 4;
constexpr std::uint64_t kKeyedCallKind = 5;
// A call that a callback waits for: behind the call's elements the key's, or null, and the chain.
constexpr std::uint64_t kChainedCallKind = 6;
constexpr std::uint64_t kChainedCallElements = kCallElements + 2;
constexpr std::uint64_t kLinkFields = 4;
// A message of any kind that belongs to a trace: the trace, and the message.
constexpr std::uint64_t kTracedKind = 7;
constexpr std::uint64_t kTracedElements = 3;
// The tick of a delayed cast with an idempotency key: behind the tick comes the key.
constexpr std::uint64_t kKeyedTickKind = 8;
// Elements of a header before the state, which follows where it is not in chunks.
constexpr std::uint64_t kHeaderElements = 5;
// Elements of a dead letter without attempts.
constexpr std::uint64_t kLetterElements = 3;
// Of the numbers that are kept in 32 bits.
constexpr std::uint64_t kNumberMaximum = std::numeric_limits<std::uint32_t>::max();

void write_tick(cbor::Writer& writer, const RawMessage& message, const TickRecord& tick,
                const MessageKey* key) {
  writer.array(kTickElements + (key != nullptr ? 1 : 0));
  writer.unsigned_integer(key != nullptr ? kKeyedTickKind : kTickKind);
  writer.text(message.name);
  writer.bytes(message.payload);
  writer.array(kTickFields);
  writer.text(tick.timer);
  writer.bytes(tick.generation);
  writer.integer(tick.nominal_ms);
  writer.integer(tick.actual_ms);
  writer.unsigned_integer(tick.number);
  writer.unsigned_integer(tick.missed);
  if (key != nullptr) write_key(writer, *key);
}

// The fields behind the number of their count; what a later version adds is passed over.
bool read_tick(cbor::Reader& reader, QueuedMessage& message) {
  std::uint64_t fields = 0;
  std::string_view timer;
  BytesView generation;
  TickRecord tick;
  bool ok = reader.read_array(fields) &&
            (fields >= kTickFields || reader.fail("a tick of too few fields")) &&
            reader.read_text(timer) && reader.read_bytes(generation) &&
            reader.read_signed(tick.nominal_ms) && reader.read_signed(tick.actual_ms) &&
            reader.read_unsigned(tick.number) && reader.read_unsigned(tick.missed);
  for (std::uint64_t i = kTickFields; ok && i < fields; ++i) ok = reader.skip();
  if (!ok) return false;
  tick.timer = timer;
  tick.generation = generation;
  message.tick = std::make_shared<const TickRecord>(std::move(tick));
  return true;
}

void write_chain(cbor::Writer& writer, const CallChain& chain) {
  writer.array(chain.links.size());
  for (const auto& link : chain.links) {
    writer.array(kLinkFields);
    writer.bytes(link.tenant_prefix);
    writer.text(link.id.type);
    writer.text(link.id.id);
    writer.boolean(link.is_locked);
  }
}

// As read_tick.
bool read_link(cbor::Reader& reader, CallLink& link) {
  std::uint64_t fields = 0;
  BytesView prefix;
  std::string_view type;
  std::string_view id;
  bool ok = reader.read_array(fields) &&
            (fields >= kLinkFields || reader.fail("a link of too few fields")) &&
            reader.read_bytes(prefix) && reader.read_text(type) && reader.read_text(id) &&
            reader.read_boolean(link.is_locked);
  for (std::uint64_t i = kLinkFields; ok && i < fields; ++i) ok = reader.skip();
  if (!ok) return false;
  link.tenant_prefix = prefix;
  link.id = {std::string(type), std::string(id)};
  return true;
}

bool read_chain(cbor::Reader& reader, QueuedMessage& message) {
  std::uint64_t links = 0;
  if (!reader.read_array(links)) return false;
  CallChain chain;
  chain.links.reserve(links);  // read_array promises as many bytes
  for (std::uint64_t i = 0; i < links; ++i) {
    if (!read_link(reader, chain.links.emplace_back())) return false;
  }
  message.chain = std::make_shared<const CallChain>(std::move(chain));
  return true;
}

void write_chained_call(cbor::Writer& writer, const RawMessage& message, const ReplyToken& caller,
                        const MessageKey* key, const CallChain& chain) {
  writer.array(kChainedCallElements);
  writer.unsigned_integer(kChainedCallKind);
  writer.text(message.name);
  writer.bytes(message.payload);
  writer.bytes(caller.session);
  writer.unsigned_integer(caller.number);
  if (key != nullptr) {
    write_key(writer, *key);
  } else {
    writer.null();
  }
  write_chain(writer, chain);
}

void write_message(cbor::Writer& writer, Event event, const RawMessage& message,
                   const ReplyToken& caller, const TickRecord* tick, const MessageKey* key,
                   const CallChain* chain) {
  if (message.trace && !SEMPER_MUTANT("server_trace_not_in_the_queue")) {
    writer.array(kTracedElements);
    writer.unsigned_integer(kTracedKind);
    write_trace(writer, *message.trace);
  }
  if (tick != nullptr) return write_tick(writer, message, *tick, key);
  const bool call = event == Event::call;
  if (call && chain != nullptr) return write_chained_call(writer, message, caller, key, *chain);
  std::uint64_t kind = static_cast<std::uint64_t>(event);
  if (key != nullptr) kind = call ? kKeyedCallKind : kKeyedCastKind;
  writer.array((call ? kCallElements : kCastElements) + (key != nullptr ? 1 : 0));
  writer.unsigned_integer(kind);
  writer.text(message.name);
  writer.bytes(message.payload);
  if (call) {
    writer.bytes(caller.session);
    writer.unsigned_integer(caller.number);
  }
  if (key != nullptr) write_key(writer, *key);
}

bool read_message(cbor::Reader& reader, QueuedMessage& message) {
  std::uint64_t elements = 0;
  std::uint64_t event = 0;
  std::string_view name;
  BytesView payload;
  if (!reader.read_array(elements) || !reader.read_unsigned(event)) return false;
  if (event == kTracedKind && elements == kTracedElements) {
    if (!read_trace(reader, message.content.trace) || !reader.read_array(elements) ||
        !reader.read_unsigned(event)) {
      return false;
    }
  }
  if (!reader.read_text(name) || !reader.read_bytes(payload)) return false;
  const bool keyed = event == kKeyedCallKind || event == kKeyedCastKind;
  const bool chained = event == kChainedCallKind;
  const bool call = event == 0 || event == kKeyedCallKind || chained;
  message.event = call ? Event::call : Event::cast;
  message.content.name = name;
  message.content.payload = payload;
  if (event == kTickKind && elements == kTickElements) return read_tick(reader, message);
  if (event == kKeyedTickKind && elements == kTickElements + 1) {
    return read_tick(reader, message) && read_key(reader, message.key);
  }
  std::uint64_t wanted = (call ? kCallElements : kCastElements) + (keyed ? 1 : 0);
  if (chained) wanted = kChainedCallElements;
  if (elements != wanted || (event > 1 && !keyed && !chained)) {
    return reader.fail("a queued message of no known kind");
  }
  if (call) {
    BytesView session;
    if (!reader.read_bytes(session) || !reader.read_unsigned(message.caller.number)) return false;
    message.caller.session = session;
  }
  if (!chained) return !keyed || read_key(reader, message.key);
  const bool has_key = reader.peek() != cbor::Kind::null;
  return (has_key ? read_key(reader, message.key) : reader.read_null()) &&
         read_chain(reader, message);
}

// An array of exactly so many elements.
bool read_array_of(cbor::Reader& reader, std::uint64_t wanted) {
  std::uint64_t elements = 0;
  if (!reader.read_array(elements)) return false;
  return elements == wanted || reader.fail("expected an array of " + std::to_string(wanted) +
                                           ", found one of " + std::to_string(elements));
}

bool read_lock(cbor::Reader& reader, LockRecord& lock) {
  std::string_view owner;
  if (!read_array_of(reader, 3) || !reader.read_unsigned(lock.nonce) || !reader.read_text(owner) ||
      !reader.read_signed(lock.acquired_ms)) {
    return false;
  }
  lock.owner = owner;
  return true;
}

// Text for a record: well-formed, and cut where it would be longer than `most` bytes.
std::string readable(const std::string& text, std::size_t most) {
  constexpr std::string_view kCut = " ... (cut)";
  std::string whole = is_utf8(text) ? text : to_printable(text, text.size());
  if (whole.size() <= most) return whole;
  std::size_t size = most - kCut.size();
  while (size > 0 && (static_cast<unsigned char>(whole[size]) & 0xc0) == 0x80) --size;
  return whole.substr(0, size).append(kCut);
}

// Heads of the CBOR items around a reply's payload, at most.
constexpr std::size_t kReplyHeadBytes = 16;

// The reader's error as what it means here: the store holds something else than was written.
Error damaged(const cbor::Reader& reader, std::string_view what) {
  return Error(ErrorKind::corrupt, reader.error().message()).in(what);
}

}  // namespace

std::size_t CallChain::size_bytes() const {
  constexpr std::size_t kLinkOverheadBytes = 16;
  std::size_t size = kLinkOverheadBytes;
  for (const auto& link : links) {
    size += link.tenant_prefix.size() + link.id.type.size() + link.id.id.size();
    size += kLinkOverheadBytes;
  }
  return size;
}

Bytes Header::encode() const {
  Bytes out;
  out.reserve(64 + state.size());
  out.append(Versionstamp::incomplete(0).bytes());
  cbor::Writer writer(out);
  const bool here = has_state && chunks == 0;
  const bool has_places = chunks > 0 && state_bytes > 0;
  const bool is_versioned = has_places || (has_state && state_version > 1);
  writer.array(kHeaderElements + (is_versioned ? 1 : 0) + (has_places || here ? 1 : 0));
  writer.unsigned_integer(has_places ? kFormat : is_versioned ? 2 : 1);
  writer.unsigned_integer(popped);
  writer.unsigned_integer(head_offset);
  if (lock) {
    writer.array(3);
    writer.unsigned_integer(lock->nonce);
    writer.text(lock->owner);
    writer.integer(lock->acquired_ms);
  } else {
    writer.null();
  }
  writer.unsigned_integer(chunks);
  if (is_versioned) writer.unsigned_integer(state_version);
  if (has_places) writer.unsigned_integer(state_bytes);
  if (here) writer.raw(state);
  return out;
}

Result<Header> Header::decode(BytesView bytes) {
  Header header;
  if (bytes.size() < Versionstamp::size) {
    return fail(ErrorKind::corrupt,
                "entity header: only " + std::to_string(bytes.size()) + " bytes");
  }
  SEMPER_TRY(header.stamp, Versionstamp::from_bytes(bytes.substr(0, Versionstamp::size)));
  cbor::Reader reader(bytes.substr(Versionstamp::size));
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  std::uint64_t head_offset = 0;
  std::uint64_t chunks = 0;
  bool ok = reader.read_array(elements) && reader.read_unsigned(format);
  if (ok && format > kFormat) {
    return fail(ErrorKind::unsupported, "entity header: format " + std::to_string(format) +
                                            " was written by a newer version of Semper; update "
                                            "this program");
  }
  ok = ok && reader.read_unsigned(header.popped) && reader.read_unsigned(head_offset);
  if (ok && reader.peek() == cbor::Kind::null) {
    ok = reader.read_null();
  } else if (ok) {
    ok = read_lock(reader, header.lock.emplace());
  }
  ok = ok && reader.read_unsigned(chunks);
  std::uint64_t state_version = 1;
  std::uint64_t before_state = kHeaderElements;
  if (ok && format > 1) {
    ++before_state;
    ok = reader.read_unsigned(state_version);
  }
  if (ok && format > 2) {
    ++before_state;
    ok = reader.read_unsigned(header.state_bytes);
    if (ok && (chunks == 0 || header.state_bytes < chunks)) {
      ok = reader.fail("an entity header of format 3 whose state is in no chunks");
    }
  }
  header.has_state = elements == before_state + 1 || chunks > 0;
  if (ok && elements == before_state + 1) {
    BytesView state;
    ok = reader.read_raw(state);
    header.state = state;
  } else if (ok && elements != before_state) {
    ok = reader.fail("an entity header of format " + std::to_string(format) + " has " +
                     std::to_string(before_state) + " elements, and one more with a state, not " +
                     std::to_string(elements));
  }
  // Cut to what fits they would name other messages, or another state.
  const bool fits = format > 0 && state_version > 0 &&
                    std::max({head_offset, chunks, state_version}) <= kNumberMaximum;
  if (ok && (!fits || (chunks > 0 && !header.state.empty()))) {
    ok = reader.fail("an entity header whose numbers are none of ours");
  }
  if (!ok || !reader.finish()) return fail(damaged(reader, "entity header"));
  header.head_offset = static_cast<std::uint32_t>(head_offset);
  header.chunks = static_cast<std::uint32_t>(chunks);
  header.state_version = static_cast<std::uint32_t>(state_version);
  return header;
}

void SegmentWriter::add(Event event, const RawMessage& message, const ReplyToken& caller,
                        const TickRecord* tick, const MessageKey* key, const CallChain* chain) {
  cbor::Writer writer(body_);
  write_message(writer, event, message, caller, tick, key, chain);
  ++count_;
}

Bytes SegmentWriter::finish() {
  Bytes out;
  out.reserve(body_.size() + 9);
  cbor::Writer writer(out);
  writer.array(count_);
  writer.raw(body_);
  body_.clear();
  count_ = 0;
  return out;
}

Result<std::vector<QueuedMessage>> decode_segment(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t count = 0;
  std::vector<QueuedMessage> messages;
  if (reader.read_array(count)) {
    messages.reserve(count);  // read_array promises as many bytes
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!read_message(reader, messages.emplace_back())) break;
    }
  }
  if (reader.failed() || !reader.finish()) return fail(damaged(reader, "queue segment"));
  return messages;
}

Bytes encode_reply(BytesView payload) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(1);
  writer.bytes(payload);
  return out;
}

Bytes encode_reply_within(BytesView payload, const Limits& limits) {
  const std::size_t share = limits.transaction_bytes / kReplyShare;
  const bool by_value = limits.value_bytes > share;
  const std::size_t most = by_value ? limits.value_bytes : share;
  if (payload.size() + kReplyHeadBytes <= most) return encode_reply(payload);
  const Limit limit = by_value ? Limit{"value_bytes", limits.value_bytes}
                               : Limit{"transaction_bytes", limits.transaction_bytes};
  return encode_reply_error(
      Error(ErrorKind::exhausted, limit,
            "the message was processed, but its reply of " + std::to_string(payload.size()) +
                " bytes is over " + (by_value ? "" : "a quarter of ") + "the store's limit " +
                limit.name + " = " + std::to_string(limit.value) +
                "; ask for it in parts: each call with where the one before it ended"));
}

Bytes encode_reply_error(const Error& error) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(2);
  writer.text(to_string(error.kind()));
  writer.text(readable(error.message(), kReplyErrorBytes));
  return out;
}

Result<Result<Bytes>> decode_reply(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t elements = 0;
  if (reader.read_array(elements) && elements == 1) {
    BytesView payload;
    if (reader.read_bytes(payload) && reader.finish()) return Result<Bytes>(Bytes(payload));
  } else if (!reader.failed() && elements == 2) {
    std::string_view kind;
    std::string_view message;
    if (reader.read_text(kind) && reader.read_text(message) && reader.finish()) {
      return Result<Bytes>(fail(error_kind_from(kind), std::string(message)));
    }
  }
  if (!reader.failed()) reader.fail("a reply has 1 or 2 elements, not " + std::to_string(elements));
  return fail(damaged(reader, "reply"));
}

Bytes encode_dead_letter(const DeadLetterRecord& record) {
  Bytes out;
  cbor::Writer writer(out);
  const bool counted = record.attempts > 0;
  writer.array(counted ? kLetterElements + 2 : kLetterElements);
  // Nobody waits for it any more.
  const auto& [event, content, caller, tick, key, chain] = record.message;
  write_message(writer, event, content, caller, tick.get(), key.get(), nullptr);
  writer.text(readable(record.reason, kDeadLetterReasonBytes));
  writer.integer(record.time_ms);
  if (!counted) return out;
  writer.unsigned_integer(record.attempts);
  writer.integer(record.first_attempt_ms);
  return out;
}

Result<DeadLetterRecord> decode_dead_letter(BytesView bytes) {
  cbor::Reader reader(bytes);
  DeadLetterRecord record;
  std::string_view reason;
  std::uint64_t elements = 0;
  bool ok = reader.read_array(elements);
  const bool counted = elements == kLetterElements + 2;
  if (ok && !counted && elements != kLetterElements) {
    ok = reader.fail("a dead letter has 3 or 5 elements, not " + std::to_string(elements));
  }
  ok = ok && read_message(reader, record.message) && reader.read_text(reason) &&
       reader.read_signed(record.time_ms);
  if (ok && counted) {
    ok = reader.read_unsigned(record.attempts) && reader.read_signed(record.first_attempt_ms);
    if (ok && record.attempts == 0) ok = reader.fail("a dead letter of no attempts");
  }
  if (!ok || !reader.finish()) return fail(damaged(reader, "dead letter"));
  record.reason = reason;
  return record;
}

Bytes ParkedNote::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(2);
  writer.text(reason);
  writer.bytes(header_stamp);
  return out;
}

ParkedNote ParkedNote::decode(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::uint64_t elements = 0;
  std::string_view reason;
  BytesView stamp;
  const bool ok = reader.read_array(elements) && elements == 2 && reader.read_text(reason) &&
                  reader.read_bytes(stamp) && reader.finish();
  if (!ok) return {std::string(bytes), {}};
  return {std::string(reason), Bytes(stamp)};
}

Bytes encode_alive(const AliveRecord& record) {
  Bytes out;
  cbor::Writer writer(out);
  // Without the lease where there is none to say: 0.1.0 reads it so.
  writer.array(record.lease_ms == 0 ? 4 : 5);
  writer.text(record.name);
  writer.unsigned_integer(record.renewals);
  writer.integer(record.renewed_ms);
  writer.array(record.types.size());
  for (const auto& type : record.types) writer.text(type);
  if (record.lease_ms != 0) writer.unsigned_integer(record.lease_ms);
  return out;
}

Result<AliveRecord> decode_alive(BytesView bytes) {
  cbor::Reader reader(bytes);
  AliveRecord record;
  std::uint64_t elements = 0;
  std::uint64_t count = 0;
  std::string_view text;
  bool ok = reader.read_array(elements);
  if (ok && elements != 4 && elements != 5) {
    ok = reader.fail("a registration has 4 or 5 elements, not " + std::to_string(elements));
  }
  ok = ok && reader.read_text(text);
  record.name = text;
  ok = ok && reader.read_unsigned(record.renewals) && reader.read_signed(record.renewed_ms) &&
       reader.read_array(count);
  for (std::uint64_t i = 0; ok && i < count; ++i) {
    ok = reader.read_text(text);
    record.types.emplace_back(text);
  }
  if (ok && elements == 5) ok = reader.read_unsigned(record.lease_ms);
  if (!ok || !reader.finish()) return fail(damaged(reader, "registration of a host or session"));
  return record;
}

Bytes encode_message_infos(const std::vector<MessageInfo>& messages) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(messages.size());
  for (const auto& message : messages) {
    writer.array(7);
    writer.text(message.name);
    writer.boolean(message.call);
    writer.boolean(message.cast);
    writer.boolean(message.info);
    writer.boolean(message.locked);
    if (message.fields) {
      writer.array(message.fields->size());
      for (const auto& field : *message.fields) writer.text(field);
    } else {
      writer.null();
    }
    writer.bytes(message.example);
  }
  return out;
}

namespace {

bool read_field_names(cbor::Reader& reader, MessageInfo& message) {
  if (reader.peek() == cbor::Kind::null) return reader.read_null();
  std::uint64_t count = 0;
  bool ok = reader.read_array(count);
  auto& fields = message.fields.emplace();
  for (std::uint64_t i = 0; ok && i < count; ++i) {
    std::string_view field;
    ok = reader.read_text(field);
    fields.emplace_back(field);
  }
  return ok;
}

// 0.1.0 wrote no more than the first five; what a later version adds is passed over.
bool read_message_info(cbor::Reader& reader, MessageInfo& message) {
  std::uint64_t elements = 0;
  std::string_view name;
  bool ok = reader.read_array(elements) &&
            (elements >= 5 || reader.fail("expected an array of 5 or more")) &&
            reader.read_text(name) && reader.read_boolean(message.call) &&
            reader.read_boolean(message.cast) && reader.read_boolean(message.info) &&
            reader.read_boolean(message.locked);
  message.name = name;
  if (ok && elements > 5) ok = read_field_names(reader, message);
  BytesView example;
  if (ok && elements > 6) ok = reader.read_bytes(example);
  message.example = Bytes(example);
  for (std::uint64_t i = 7; ok && i < elements; ++i) ok = reader.skip();
  return ok;
}

}  // namespace

Result<std::vector<MessageInfo>> decode_message_infos(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::vector<MessageInfo> messages;
  std::uint64_t count = 0;
  bool ok = reader.read_array(count);
  for (std::uint64_t i = 0; ok && i < count; ++i) {
    ok = read_message_info(reader, messages.emplace_back());
  }
  if (!ok || !reader.finish()) return fail(damaged(reader, "registration of a type"));
  return messages;
}

std::uint64_t counter_value(const std::optional<Bytes>& bytes) {
  if (!bytes) return 0;
  Bytes widened = *bytes;
  widened.resize(8, '\0');
  return load_little_endian_u64(widened);
}

}  // namespace semper::internal
