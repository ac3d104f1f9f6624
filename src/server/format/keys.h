// Where everything of the server room lies in a store. docs/formats.md says the same in words.
//
// All keys are tuples behind the tenant's prefix:
//
//   (0, type)                         the type's registration: its messages, for tools
//   (1, type, id, 0)                  header: stamp, lock, popped count, and a small state itself
//   (1, type, id, 0, 0)               an order of kill() or reset() that is not carried out:
//                                     orders.h
//   (1, type, id, 1)                  pushed count: an atomic counter, so publishers never conflict
//   (1, type, id, 2, versionstamp)    a queue segment: messages of one commit, in order
//   (1, type, id, 3, place)           a chunk of a large state: state_chunks.h
//   (1, type, id, 4)                  the lock's renewals: a counter
//   (1, type, id, 5, versionstamp)    a dead letter
//   (1, type, id, 6)                  why the entity is parked
//   (1, type, id, 7, source)          the highest sequence number of a source: see cast_once.h
//   (1, type, id, 8)                  what is being run where a process died before: see
//                                     announcement.h
//   (1, type, id, 9)                  the runs of its first message that failed: failure_note.h
//   (1, type, id, 10)                 it waits for a limit of its type: limit_rows.h
//   (1, type, id, 12)                 how many timers there are: an atomic counter
//   (1, type, id, 13, name)           a timer: timers.h
//   (1, type, id, 15, name, key...)   an entry of a collection: server/map.h
//   (1, type, id, 16)                 how many idempotency keys there are: an atomic counter
//   (1, type, id, 17, message, key)   an idempotency key: idempotency.h
//   (1, type, id, 17, message, key, n)  chunk n of its reply
//   (2, type, shard, id)              the index: this entity's queue has work; needs.h
//   (3, type, shard)                  counter that is touched when the index gains an entry
//   (4, session)                      a process that waits for replies, and its renewals
//   (4, session, 0)                   counter that is touched when a reply is there
//   (4, session, 1, number)           the reply to call `number`
//   (4, session, 1, number, n)        chunk n of a large one: replies.h
//   (4, session, 2), ...              what a host has taken of that session: relay_frames.h
//   (5)                               counter that is touched when a host comes or goes
//   (5, host)                         a host, its types, and its renewals
//   (6, log), ...                     how far the starts of a log have sent: start_ledger.h
//   (9, host)                         the types and messages of that host: speech.h
//   (12, type, shard, due, id, name)  the due index: this timer waits for its time, in milliseconds
//   (13, type)                        the type has had timers, or keys
//   (13, type, shard)                 counter that is touched when the due index gains an entry
//   (14, host)                        when that host saw which version: version_times.h
//   (17, type, shard, time, id, message, key)  the expiry index: this idempotency key is kept until
//                                              then
//   (18, type, key), ...              limits of a type: limit_rows.h
//
// All of one entity lies together, so that a message to a cold entity touches one leaf of the
// store's tree for header, queue and state.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/server/entity_id.h"
#include "semper/store/keys.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

// The index of one type is spread over this many shards, so that publishers and hosts of one type
// do not meet on one key. Part of the format.
inline constexpr std::uint32_t kIndexShards = 16;

std::uint32_t shard_of(std::string_view id);

class EntityKeys {
 public:
  // Borrows the id, which must outlive the keys. The keys that every message needs are made at
  // once, the others when they are asked for.
  EntityKeys(BytesView tenant_prefix, const EntityId& id);

  const Bytes& header() const { return header_; }
  const Bytes& pushed() const { return pushed_; }
  // Between header and pushed count, so that whoever reads both reads this.
  Bytes order() const;
  KeyRange queue() const;
  // A queue key with an incomplete stamp of this user version; the stamp is at stamp_offset().
  Bytes queue_segment(std::uint16_t user_version) const;
  Bytes dead_letter(std::uint16_t user_version) const;
  std::size_t stamp_offset() const { return prefix_.size() + 3; }
  Bytes queue_segment_at(const Versionstamp& stamp) const;
  Bytes dead_letter_at(const Versionstamp& stamp) const;
  KeyRange dead_letters() const;
  // By its place, or its number in stores of 0.1.0.
  Bytes chunk(std::uint64_t place) const;
  KeyRange chunks() const;
  // Precondition: chunks() contains the key.
  Result<std::uint64_t> place_of_chunk(BytesView key) const;
  Bytes lock_renewal() const;
  Bytes parked() const;
  Bytes once(std::string_view source) const;
  KeyRange once_of_all_sources() const;
  Bytes announcement() const;
  Bytes failures() const;
  Bytes limit_note() const;
  Bytes timer_count() const;
  Bytes timer(std::string_view name) const;
  KeyRange timers() const;
  // What is in the collection of that name continues this; and all of all of them.
  Bytes collection(std::string_view name) const;
  KeyRange collections() const;
  Bytes due(std::int64_t due_ms, std::string_view name) const;
  Bytes due_wake() const;
  Bytes timers_mark() const;
  Bytes key_count() const;
  Bytes key(std::string_view message, std::string_view text) const;
  KeyRange idempotency_keys() const;
  Bytes key_expiry(std::int64_t expires_ms, std::string_view message, std::string_view text) const;
  Bytes index() const;
  Bytes wake() const;
  KeyRange everything() const;
  // Of that, what only consumers write: all but pushed count, queue, sources, timers and keys.
  std::array<KeyRange, 5> consumers_own() const;

  // The stamp at the end of a queue or dead letter key.
  static Result<Versionstamp> stamp_in(BytesView key);

 private:
  Bytes part(std::int64_t number) const;
  KeyRange part_range(std::int64_t number) const;

  BytesView tenant_prefix() const { return BytesView(prefix_).substr(0, tenant_prefix_bytes_); }

  const EntityId* id_;
  std::size_t tenant_prefix_bytes_;
  Bytes prefix_;
  Bytes header_;
  Bytes pushed_;
};

Bytes type_key(BytesView tenant_prefix, std::string_view type);
KeyRange type_range(BytesView tenant_prefix);
KeyRange entities_of_type(BytesView tenant_prefix, std::string_view type);
KeyRange all_entities(BytesView tenant_prefix);
// The type and id of any key within (1, ...).
Result<EntityId> entity_of_key(BytesView tenant_prefix, BytesView key);

KeyRange index_range(BytesView tenant_prefix, std::string_view type, std::uint32_t shard);
KeyRange index_of_type(BytesView tenant_prefix, std::string_view type);
Bytes wake_key(BytesView tenant_prefix, std::string_view type, std::uint32_t shard);
// The id at the end of an index key.
Result<std::string> id_of_index_key(BytesView tenant_prefix, BytesView key);

// Of the due index; those of one shard lie in the order of their times.
struct DueEntry {
  std::int64_t due_ms = 0;
  std::string id;
  std::string timer;
};
KeyRange due_range(BytesView tenant_prefix, std::string_view type, std::uint32_t shard);
// Up to and with that time.
KeyRange due_range_until(BytesView tenant_prefix, std::string_view type, std::uint32_t shard,
                         std::int64_t until_ms);
Bytes due_key(BytesView tenant_prefix, std::string_view type, std::uint32_t shard,
              const DueEntry& entry);
Bytes timers_mark_key(BytesView tenant_prefix, std::string_view type);
Bytes due_wake_key(BytesView tenant_prefix, std::string_view type, std::uint32_t shard);
Result<DueEntry> entry_of_due_key(BytesView tenant_prefix, BytesView key);
// Of what EntityKeys::collection() gave.
KeyRange entries_below(const Bytes& collection);
// The name of the collection of such a key.
Result<std::string> name_of_collection_key(BytesView tenant_prefix, BytesView key);
// The name at the end of a timer's key.
Result<std::string> name_of_timer_key(BytesView tenant_prefix, BytesView key);

// The message name and the text at the end of an idempotency key's row, or of a chunk of its reply.
struct KeyName {
  std::string message;
  std::string text;
  bool is_chunk = false;
};
Result<KeyName> name_of_key(BytesView tenant_prefix, BytesView key);
// Of the expiry index; those of one shard lie in the order of their times.
struct ExpiryEntry {
  std::int64_t expires_ms = 0;
  std::string id;
  std::string message;
  std::string text;
};
KeyRange expiry_range(BytesView tenant_prefix, std::string_view type);
// Up to and with that time.
KeyRange expiry_range_until(BytesView tenant_prefix, std::string_view type, std::uint32_t shard,
                            std::int64_t until_ms);
Result<ExpiryEntry> entry_of_expiry_key(BytesView tenant_prefix, BytesView key);

Bytes session_key(BytesView tenant_prefix, BytesView session);
Bytes session_wake_key(BytesView tenant_prefix, BytesView session);
Bytes reply_key(BytesView tenant_prefix, BytesView session, std::uint64_t number);
KeyRange replies_of(BytesView tenant_prefix, BytesView session);
// Of the reply with that key, where it is a large one.
Bytes reply_chunk_key(const Bytes& reply, std::uint32_t index);
KeyRange reply_chunks(const Bytes& reply);
// As long as it is there, hosts take casts of that session; what each commit has taken.
Bytes relay_key(BytesView tenant_prefix, BytesView session);
Bytes relay_mark_key(const Bytes& relay, std::uint64_t commit);
KeyRange relay_marks(const Bytes& relay);
KeyRange everything_of_session(BytesView tenant_prefix, BytesView session);
KeyRange session_range(BytesView tenant_prefix);
// The session of any key within (4, ...), and the call's number of a reply's key, or a chunk's.
Result<Bytes> session_of_key(BytesView tenant_prefix, BytesView key);
Result<std::uint64_t> number_of_reply_key(BytesView tenant_prefix, BytesView key);

Bytes host_key(BytesView tenant_prefix, BytesView host);
Bytes hosts_wake_key(BytesView tenant_prefix);
KeyRange host_range(BytesView tenant_prefix);
// What the host of (5, host) speaks, and the host row of such a key.
Bytes speech_key(BytesView tenant_prefix, BytesView host);
KeyRange speech_range(BytesView tenant_prefix);
Result<Bytes> host_key_of_speech(BytesView tenant_prefix, BytesView key);

// Of cast_once, of a program that sends in one order.
Bytes once_log_key(BytesView tenant_prefix, std::string_view log);
Bytes once_start_key(BytesView log_key, std::string_view start);
Bytes once_place_key(BytesView log_key, std::uint64_t place);
KeyRange once_places(BytesView log_key);

}  // namespace semper::internal
