// Recording: one entity from a store, in one readable file, to be run again elsewhere.
//
// What for: turning a failure in production into a test. `semper record TYPE/ID` writes such a
// file, and Harness::load (testing/harness.h) loads it into the store of a test. When not: backups,
// and moving entities (`semper store backup`, `semper store copy`). A recording contains one
// entity, and the callers that wait for its replies do not exist where it is restored.
//
//   SEMPER_CO_TRY(const auto recording, co_await semper::record_entity(tenant, id, options));
//   file << semper::recording_to_text(recording);
//
// It contains the state, the entries of maps, the queue with its calls and casts, the lock,
// announced runs, dead letters, the versionstamps of all these, and the sources of cast_once. The
// contents of states and messages are in it unchanged, including your secrets, so treat the file as
// you treat the store. Format: docs/formats.md. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/store/backend.h"

namespace semper {

// The size of the rows of one recording. Larger recordings are refused, both when writing and when
// reading.
inline constexpr std::size_t kRecordingBytes = 64u << 20;

struct RecordOptions {
  // At most this many messages of the queue, and as many dead letters, oldest first; fewer if they
  // do not fit into kRecordingBytes. The rest is left out, and the recording says so. The first
  // segment of the queue (messages that were sent together, up to 64 KiB) is kept, whatever this
  // number is, if the entity is locked, because the lock is for its first message, or if a part of
  // the segment was processed.
  std::size_t messages = 10'000;
  // For people who read the file: which part of which store.
  std::string tenant = {};
};

struct Recording {
  static constexpr std::uint64_t kFormat = 1;

  struct Row {
    Bytes key;  // without the prefix of the tenant
    Bytes value;
  };

  EntityId entity;
  std::string tenant;          // for people, as is
  std::string store;           // its URL, without secrets
  std::string recorded;        // the wall-clock time: 2030-01-01T00:00:00Z
  Version version = 0;         // of the store, when it was recorded
  std::uint64_t left_out = 0;  // messages at the end of the queue
  bool left_out_dead_letters = false;
  std::vector<Row> rows;
};

// Reads in one transaction, and changes nothing. Errors: not_found, exhausted (the state alone
// exceeds kRecordingBytes), corrupt (a queue segment that cannot be read), and the store's.
Async<Recording> record_entity(Tenant tenant, EntityId id, RecordOptions options);

// Puts the entity into another store, and makes hosts check it. Success: durable, and every stamp
// that this store assigns from now on is later than the recorded ones. Errors: already_exists (the
// entity exists), unsupported (this store's versions cannot be raised: restore into memory:), and
// the store's. After any other error, or if it never returns, part may be there: kill the entity.
Async<void> restore_recording(Tenant tenant, Recording recording);

// JSON lines, as docs/formats.md describes them.
std::string recording_to_text(const Recording& recording);
// Errors: corrupt (the message names the line), unsupported (a newer version), exhausted.
Result<Recording> recording_from_text(std::string_view text);

}  // namespace semper
