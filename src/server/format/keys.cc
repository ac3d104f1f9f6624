#include "server/format/keys.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "semper/base/crc32c.h"
#include "semper/store/tuple_stream.h"
#include "server/format/tuple_key.h"

namespace semper::internal {
namespace {

enum Space : std::int64_t {
  kTypes = 0,
  kEntities,
  kIndex,
  kWake,
  kSessions,
  kHosts,
  kLogs,
  kSpeech = 9,
  kDue = 12,
  kDueWake = 13,
  kExpiry = 17
};
enum Part : std::int64_t {
  kHeader = 0,
  kPushed,
  kQueue,
  kChunks,
  kLockRenewal,
  kDead,
  kParked,
  kOnce,
  kAnnouncement,
  kFailures,
  kLimitNote,
  kTimerCount = 12,
  kTimers = 13,
  kCollections = 15,
  kKeyCount = 16,
  kKeys = 17
};

// A reader behind prefix and space number, or the error that the key is elsewhere.
Result<TupleReader> inside(BytesView prefix, BytesView key, Space space) {
  if (!key.starts_with(prefix)) {
    return fail(ErrorKind::corrupt, "key " + to_printable(key) + " is outside its tenant");
  }
  TupleReader reader(key.substr(prefix.size()));
  SEMPER_TRY(const auto number, reader.read_int64());
  if (number != space) {
    return fail(ErrorKind::corrupt,
                "key " + to_printable(key) + " is in another part of the store");
  }
  return reader;
}

// Behind the type, the id and the part of a key within (1, ...).
Result<TupleReader> inside_part(BytesView prefix, BytesView key, Bytes& scratch) {
  SEMPER_TRY(auto reader, inside(prefix, key, kEntities));
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.read_int64());
  return reader;
}

}  // namespace

std::uint32_t shard_of(std::string_view id) {
  return crc32c(id) % kIndexShards;
}

EntityKeys::EntityKeys(BytesView tenant_prefix, const EntityId& id)
    : id_(&id),
      tenant_prefix_bytes_(tenant_prefix.size()),
      prefix_(tuple_key(tenant_prefix, kEntities, id.type, id.id)),
      header_(part(kHeader)),
      pushed_(part(kPushed)) {}

Bytes EntityKeys::order() const {
  return tuple_key(prefix_, kHeader, 0);
}
Bytes EntityKeys::lock_renewal() const {
  return part(kLockRenewal);
}
Bytes EntityKeys::parked() const {
  return part(kParked);
}
Bytes EntityKeys::once(std::string_view source) const {
  return tuple_key(prefix_, kOnce, source);
}
KeyRange EntityKeys::once_of_all_sources() const {
  return part_range(kOnce);
}
Bytes EntityKeys::announcement() const {
  return part(kAnnouncement);
}
Bytes EntityKeys::failures() const {
  return part(kFailures);
}
Bytes EntityKeys::limit_note() const {
  return part(kLimitNote);
}
Bytes EntityKeys::timer_count() const {
  return part(kTimerCount);
}
Bytes EntityKeys::timer(std::string_view name) const {
  return tuple_key(prefix_, kTimers, name);
}
KeyRange EntityKeys::timers() const {
  return part_range(kTimers);
}
Bytes EntityKeys::collection(std::string_view name) const {
  return tuple_key(prefix_, kCollections, name);
}
KeyRange EntityKeys::collections() const {
  return part_range(kCollections);
}
Bytes EntityKeys::due(std::int64_t due_ms, std::string_view name) const {
  return tuple_key(tenant_prefix(), kDue, id_->type, shard_of(id_->id), due_ms, id_->id, name);
}
Bytes EntityKeys::timers_mark() const {
  return timers_mark_key(tenant_prefix(), id_->type);
}
Bytes EntityKeys::due_wake() const {
  return due_wake_key(tenant_prefix(), id_->type, shard_of(id_->id));
}
Bytes EntityKeys::key_count() const {
  return part(kKeyCount);
}
Bytes EntityKeys::key(std::string_view message, std::string_view text) const {
  return tuple_key(prefix_, kKeys, message, text);
}
KeyRange EntityKeys::idempotency_keys() const {
  return part_range(kKeys);
}
Bytes EntityKeys::key_expiry(std::int64_t expires_ms, std::string_view message,
                             std::string_view text) const {
  return tuple_key(tenant_prefix(), kExpiry, id_->type, shard_of(id_->id), expires_ms, id_->id,
                   message, text);
}
Bytes EntityKeys::index() const {
  return tuple_key(tenant_prefix(), kIndex, id_->type, shard_of(id_->id), id_->id);
}
Bytes EntityKeys::wake() const {
  return wake_key(tenant_prefix(), id_->type, shard_of(id_->id));
}

Bytes EntityKeys::part(std::int64_t number) const {
  return tuple_key(prefix_, number);
}
KeyRange EntityKeys::part_range(std::int64_t number) const {
  return below(part(number));
}

KeyRange EntityKeys::queue() const {
  return part_range(kQueue);
}
Bytes EntityKeys::queue_segment(std::uint16_t user_version) const {
  return tuple_key(prefix_, kQueue, Versionstamp::incomplete(user_version));
}
Bytes EntityKeys::queue_segment_at(const Versionstamp& stamp) const {
  return tuple_key(prefix_, kQueue, stamp);
}
Bytes EntityKeys::dead_letter(std::uint16_t user_version) const {
  return tuple_key(prefix_, kDead, Versionstamp::incomplete(user_version));
}
Bytes EntityKeys::dead_letter_at(const Versionstamp& stamp) const {
  return tuple_key(prefix_, kDead, stamp);
}
KeyRange EntityKeys::dead_letters() const {
  return part_range(kDead);
}
Bytes EntityKeys::chunk(std::uint64_t place) const {
  return tuple_key(prefix_, kChunks, place);
}
KeyRange EntityKeys::chunks() const {
  return part_range(kChunks);
}
Result<std::uint64_t> EntityKeys::place_of_chunk(BytesView key) const {
  TupleReader reader(key.substr(part(kChunks).size()));
  SEMPER_TRY(const auto place, reader.read_uint64());
  SEMPER_TRY_STATUS(reader.expect_end());
  return place;
}
KeyRange EntityKeys::everything() const {
  return below(prefix_);
}

std::array<KeyRange, 5> EntityKeys::consumers_own() const {
  return {KeyRange{header_, pushed_}, KeyRange{part(kChunks), part(kOnce)},
          KeyRange{part(kAnnouncement), part(kTimerCount)}, KeyRange{timers().end, part(kKeyCount)},
          KeyRange{idempotency_keys().end, everything().end}};
}

Result<Versionstamp> EntityKeys::stamp_in(BytesView key) {
  if (key.size() < Versionstamp::size) {
    return fail(ErrorKind::corrupt, "key " + to_printable(key) + " is too short for a stamp");
  }
  return Versionstamp::from_bytes(key.substr(key.size() - Versionstamp::size));
}

Bytes type_key(BytesView prefix, std::string_view type) {
  return tuple_key(prefix, kTypes, type);
}
KeyRange type_range(BytesView prefix) {
  return below(tuple_key(prefix, kTypes));
}
KeyRange entities_of_type(BytesView prefix, std::string_view type) {
  return below(tuple_key(prefix, kEntities, type));
}
KeyRange all_entities(BytesView prefix) {
  return below(tuple_key(prefix, kEntities));
}

Result<EntityId> entity_of_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kEntities));
  EntityId id;
  Bytes scratch;
  SEMPER_TRY(id.type, reader.read_text(scratch));
  SEMPER_TRY(id.id, reader.read_text(scratch));
  return id;
}

KeyRange index_range(BytesView prefix, std::string_view type, std::uint32_t shard) {
  return below(tuple_key(prefix, kIndex, type, shard));
}
KeyRange index_of_type(BytesView prefix, std::string_view type) {
  return below(tuple_key(prefix, kIndex, type));
}
Bytes wake_key(BytesView prefix, std::string_view type, std::uint32_t shard) {
  return tuple_key(prefix, kWake, type, shard);
}

Result<std::string> id_of_index_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kIndex));
  Bytes scratch;
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.read_int64());
  SEMPER_TRY(const auto id, reader.read_text(scratch));
  return std::string(id);
}

KeyRange due_range(BytesView prefix, std::string_view type, std::uint32_t shard) {
  return below(tuple_key(prefix, kDue, type, shard));
}
KeyRange due_range_until(BytesView prefix, std::string_view type, std::uint32_t shard,
                         std::int64_t until_ms) {
  KeyRange range = due_range(prefix, type, shard);
  range.end = below(tuple_key(prefix, kDue, type, shard, until_ms)).end;
  return range;
}
Bytes due_key(BytesView prefix, std::string_view type, std::uint32_t shard, const DueEntry& entry) {
  return tuple_key(prefix, kDue, type, shard, entry.due_ms, entry.id, entry.timer);
}
Bytes timers_mark_key(BytesView prefix, std::string_view type) {
  return tuple_key(prefix, kDueWake, type);
}
Bytes due_wake_key(BytesView prefix, std::string_view type, std::uint32_t shard) {
  return tuple_key(prefix, kDueWake, type, shard);
}

Result<DueEntry> entry_of_due_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kDue));
  Bytes scratch;
  DueEntry entry;
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.read_int64());
  SEMPER_TRY(entry.due_ms, reader.read_int64());
  SEMPER_TRY(entry.id, reader.read_text(scratch));
  SEMPER_TRY(entry.timer, reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.expect_end());
  return entry;
}

KeyRange entries_below(const Bytes& collection) {
  return below(collection);
}
Result<std::string> name_of_collection_key(BytesView prefix, BytesView key) {
  Bytes scratch;
  SEMPER_TRY(auto reader, inside_part(prefix, key, scratch));
  SEMPER_TRY(const auto name, reader.read_text(scratch));
  return std::string(name);
}

Result<std::string> name_of_timer_key(BytesView prefix, BytesView key) {
  Bytes scratch;
  SEMPER_TRY(auto reader, inside_part(prefix, key, scratch));
  SEMPER_TRY(const auto name, reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.expect_end());
  return std::string(name);
}

Result<KeyName> name_of_key(BytesView prefix, BytesView key) {
  Bytes scratch;
  KeyName name;
  SEMPER_TRY(auto reader, inside_part(prefix, key, scratch));
  SEMPER_TRY(name.message, reader.read_text(scratch));
  SEMPER_TRY(name.text, reader.read_text(scratch));
  name.is_chunk = !reader.at_end();
  if (name.is_chunk) {
    SEMPER_TRY_STATUS(reader.read_uint64());
  }
  SEMPER_TRY_STATUS(reader.expect_end());
  return name;
}
KeyRange expiry_range(BytesView prefix, std::string_view type) {
  return below(tuple_key(prefix, kExpiry, type));
}
KeyRange expiry_range_until(BytesView prefix, std::string_view type, std::uint32_t shard,
                            std::int64_t until_ms) {
  KeyRange range = below(tuple_key(prefix, kExpiry, type, shard));
  range.end = below(tuple_key(prefix, kExpiry, type, shard, until_ms)).end;
  return range;
}
Result<ExpiryEntry> entry_of_expiry_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kExpiry));
  Bytes scratch;
  ExpiryEntry entry;
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.read_int64());
  SEMPER_TRY(entry.expires_ms, reader.read_int64());
  SEMPER_TRY(entry.id, reader.read_text(scratch));
  SEMPER_TRY(entry.message, reader.read_text(scratch));
  SEMPER_TRY(entry.text, reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.expect_end());
  return entry;
}

Bytes session_key(BytesView prefix, BytesView session) {
  return tuple_key(prefix, kSessions, to_hex(session));
}
Bytes session_wake_key(BytesView prefix, BytesView session) {
  return tuple_key(prefix, kSessions, to_hex(session), 0);
}
Bytes reply_key(BytesView prefix, BytesView session, std::uint64_t number) {
  return tuple_key(prefix, kSessions, to_hex(session), 1, number);
}
KeyRange replies_of(BytesView prefix, BytesView session) {
  return below(tuple_key(prefix, kSessions, to_hex(session), 1));
}
Bytes reply_chunk_key(const Bytes& reply, std::uint32_t index) {
  return tuple_key(reply, index);
}
KeyRange reply_chunks(const Bytes& reply) {
  return below(reply);
}
Bytes relay_key(BytesView prefix, BytesView session) {
  return tuple_key(prefix, kSessions, to_hex(session), 2);
}
Bytes relay_mark_key(const Bytes& relay, std::uint64_t commit) {
  return tuple_key(relay, commit);
}
KeyRange relay_marks(const Bytes& relay) {
  return below(relay);
}
KeyRange everything_of_session(BytesView prefix, BytesView session) {
  const Bytes key = session_key(prefix, session);
  return {key, key + '\xff'};
}
KeyRange session_range(BytesView prefix) {
  return below(tuple_key(prefix, kSessions));
}

Result<Bytes> session_of_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kSessions));
  Bytes scratch;
  SEMPER_TRY(const auto hex, reader.read_text(scratch));
  Bytes session;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned octet = 0;
    const char* const begin = hex.data() + i;
    const char* const end = begin + std::min<std::size_t>(2, hex.size() - i);
    const auto parsed = std::from_chars(begin, end, octet, 16);
    if (parsed.ec != std::errc() || parsed.ptr != end || end - begin != 2) {
      return fail(ErrorKind::corrupt,
                  "key " + to_printable(key) + " names a session that is not hexadecimal");
    }
    session.push_back(static_cast<char>(octet));
  }
  // Else it is never removed: its key is another than the one that is made of the session.
  if (to_hex(session) != hex) {
    return fail(ErrorKind::corrupt, "key " + to_printable(key) + " names a session in capitals");
  }
  return session;
}

Result<std::uint64_t> number_of_reply_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kSessions));
  Bytes scratch;
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.read_int64());
  return reader.read_uint64();
}

Bytes host_key(BytesView prefix, BytesView host) {
  return tuple_key(prefix, kHosts, to_hex(host));
}
Bytes hosts_wake_key(BytesView prefix) {
  return tuple_key(prefix, kHosts);
}
KeyRange host_range(BytesView prefix) {
  return below(tuple_key(prefix, kHosts));
}

Bytes speech_key(BytesView prefix, BytesView host) {
  return tuple_key(prefix, kSpeech, to_hex(host));
}
KeyRange speech_range(BytesView prefix) {
  return below(tuple_key(prefix, kSpeech));
}
Result<Bytes> host_key_of_speech(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside(prefix, key, kSpeech));
  Bytes scratch;
  SEMPER_TRY(const auto hex, reader.read_text(scratch));
  return tuple_key(prefix, kHosts, hex);
}

Bytes once_log_key(BytesView prefix, std::string_view log) {
  return tuple_key(prefix, kLogs, log);
}
Bytes once_start_key(BytesView log_key, std::string_view start) {
  return tuple_key(log_key, 0, start);
}
Bytes once_place_key(BytesView log_key, std::uint64_t place) {
  return tuple_key(log_key, 1, place);
}
KeyRange once_places(BytesView log_key) {
  return below(tuple_key(log_key, 1));
}

}  // namespace semper::internal
