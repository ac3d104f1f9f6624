#include "server/format/idempotency.h"

#include <limits>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"
#include "server/format/tuple_key.h"

namespace semper::internal {
namespace {

// Before the session of a ReplyToken that is none: sessions have eight bytes.
constexpr char kTokenMark = 'k';
constexpr std::size_t kSessionSize = 8;
constexpr std::uint64_t kTokenElements = 4;
constexpr std::uint64_t kRecordElements = 9;

Bytes fingerprint_of(Event event, const RawMessage& message) {
  __extension__ typedef unsigned __int128 Number;
  constexpr auto number = [](std::uint64_t high, std::uint64_t low) {
    return Number{high} << 64 | low;
  };
  constexpr Number kPrime = number(0x0000000001000000ULL, 0x000000000000013bULL);
  Number hash = number(0x6c62272e07bb0142ULL, 0x62b821756295c58dULL);
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * kPrime; };
  add(static_cast<unsigned char>(event));
  for (const char byte : message.payload) add(static_cast<unsigned char>(byte));
  Bytes out;
  for (std::size_t i = 0; i < kFingerprintBytes; ++i) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(hash >> 8 * i)));
  }
  return out;
}

bool read_callers(cbor::Reader& reader, std::vector<ReplyToken>& callers) {
  std::uint64_t count = 0;
  if (!reader.read_array(count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t elements = 0;
    BytesView session;
    ReplyToken caller;
    if (!reader.read_array(elements) || elements != 2 || !reader.read_bytes(session) ||
        !reader.read_unsigned(caller.number)) {
      return reader.failed() ? false : reader.fail("a caller of a key has 2 elements");
    }
    caller.session = session;
    callers.push_back(std::move(caller));
  }
  return true;
}

bool read_record(cbor::Reader& reader, KeyRecord& record) {
  std::uint64_t state = 0;
  std::uint64_t chunks = 0;
  BytesView fingerprint;
  BytesView reply;
  bool ok = reader.read_unsigned(state) && reader.read_bytes(fingerprint) &&
            reader.read_signed(record.retention_ms) && reader.read_signed(record.expires_ms) &&
            reader.read_unsigned(record.run) && reader.read_unsigned(chunks) &&
            reader.read_bytes(reply) && read_callers(reader, record.callers);
  const bool fits = state <= static_cast<std::uint64_t>(KeyRecord::State::failed) &&
                    chunks <= std::numeric_limits<std::uint32_t>::max() &&
                    record.retention_ms >= 0 && record.expires_ms >= 0;
  if (ok && !fits) ok = reader.fail("a key whose numbers are none of ours");
  record.state = static_cast<KeyRecord::State>(state);
  record.chunks = static_cast<std::uint32_t>(chunks);
  record.fingerprint = fingerprint;
  record.reply = reply;
  return ok;
}

}  // namespace

Status check_key_text(std::string_view text) {
  if (!text.empty() && text.size() <= kIdempotencyKeyBytesMaximum && is_utf8(text)) return {};
  const Limit limit{"kIdempotencyKeyBytesMaximum", kIdempotencyKeyBytesMaximum};
  const std::string shown = to_printable(text, 64);
  return fail(ErrorKind::invalid_argument, limit,
              "an idempotency key is 1 to " + std::to_string(kIdempotencyKeyBytesMaximum) +
                  " bytes of UTF-8, not \"" + shown + "\" of " + std::to_string(text.size()));
}

Result<std::shared_ptr<const MessageKey>> message_key(const IdempotencyKey& key, Event event,
                                                      const RawMessage& message) {
  using std::chrono::milliseconds;
  SEMPER_TRY_STATUS(check_key_text(key.text));
  if (key.retention < milliseconds(1) || key.retention > kKeyRetentionMaximum) {
    return fail(ErrorKind::invalid_argument,
                "an idempotency key is retained for 1 ms to kKeyRetentionMaximum, 366 days");
  }
  auto made = std::make_shared<MessageKey>();
  made->text = key.text;
  made->retention_ms = std::chrono::duration_cast<milliseconds>(key.retention).count();
  made->fingerprint = fingerprint_of(event, message);
  if (SEMPER_MUTANT("server_key_takes_any_payload")) made->fingerprint.assign(16, 'x');
  return std::shared_ptr<const MessageKey>(std::move(made));
}

ReplyToken key_token(const KeyAddress& address, std::uint64_t run) {
  ReplyToken token;
  token.session.push_back(kTokenMark);
  cbor::Writer writer(token.session);
  writer.array(kTokenElements);
  writer.text(address.entity.type);
  writer.text(address.entity.id);
  writer.text(address.message);
  writer.text(address.key);
  token.number = run;
  return token;
}

bool is_key_token(const ReplyToken& token) {
  return token.session.size() > kSessionSize && token.session.front() == kTokenMark;
}

Result<KeyAddress> address_in(const ReplyToken& token) {
  cbor::Reader reader(BytesView(token.session).substr(1));
  std::uint64_t elements = 0;
  std::string_view type;
  std::string_view id;
  std::string_view message;
  std::string_view key;
  const bool ok = reader.read_array(elements) && elements == kTokenElements &&
                  reader.read_text(type) && reader.read_text(id) && reader.read_text(message) &&
                  reader.read_text(key) && reader.finish();
  KeyAddress address{{std::string(type), std::string(id)}, std::string(message), std::string(key)};
  if (!ok || !address.entity.validate()) {
    return fail(ErrorKind::invalid_argument,
                "a ReplyToken that Context::reply_token() did not give");
  }
  return address;
}

std::uint64_t run_of(const ReplyToken& caller) {
  return std::uint64_t{crc32c(caller.session)} << 32 ^ caller.number;
}

void clear_key(Transaction& transaction, const EntityKeys& keys, std::string_view message,
               std::string_view text, const KeyRecord& record) {
  const Bytes row = keys.key(message, text);
  transaction.clear(row);
  if (record.chunks > 0) transaction.clear_range(below(row));
  if (record.is_done()) transaction.clear(keys.key_expiry(record.expires_ms, message, text));
}

Bytes KeyRecord::encode() const {
  Bytes out(stamp.bytes());
  cbor::Writer writer(out);
  writer.array(kRecordElements);
  writer.unsigned_integer(kFormat);
  writer.unsigned_integer(static_cast<std::uint64_t>(state));
  writer.bytes(fingerprint);
  writer.integer(retention_ms);
  writer.integer(expires_ms);
  writer.unsigned_integer(run);
  writer.unsigned_integer(chunks);
  writer.bytes(chunks == 0 ? BytesView(reply) : BytesView());
  writer.array(callers.size());
  for (const auto& caller : callers) {
    writer.array(2);
    writer.bytes(caller.session);
    writer.unsigned_integer(caller.number);
  }
  return out;
}

Result<KeyRecord> KeyRecord::decode(BytesView bytes) {
  KeyRecord record;
  if (bytes.size() < Versionstamp::size) {
    return fail(ErrorKind::corrupt,
                "idempotency key: only " + std::to_string(bytes.size()) + " bytes");
  }
  SEMPER_TRY(record.stamp, Versionstamp::from_bytes(bytes.substr(0, Versionstamp::size)));
  cbor::Reader reader(bytes.substr(Versionstamp::size));
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  bool ok = reader.read_array(elements) && reader.read_unsigned(format);
  if (ok && format > kFormat) {
    return fail(ErrorKind::unsupported, "idempotency key: format " + std::to_string(format) +
                                            " was written by a newer version of Semper; update "
                                            "this program");
  }
  if (ok && elements < kRecordElements) ok = reader.fail("a key of too few elements");
  ok = ok && read_record(reader, record);
  for (std::uint64_t i = kRecordElements; ok && i < elements; ++i) ok = reader.skip();
  if (!ok || !reader.finish()) {
    return fail(Error(ErrorKind::corrupt, reader.error().message()).in("idempotency key"));
  }
  return record;
}

}  // namespace semper::internal
