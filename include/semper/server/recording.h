// Recording: one entity as it lies in a store, in one readable file, to be run again elsewhere.
//
// What for: turning what went wrong in production into a test: `semper record TYPE/ID` writes such
// a file, and Harness::load (testing/harness.h) puts it into the store of a test. When not:
// backups, and moving entities (`semper store backup`, `semper store copy`); a recording is of one
// entity, and who waits for its replies is not there any more where it is restored.
//
//   SEMPER_CO_TRY(const auto recording, co_await semper::record_entity(tenant, id, options));
//   file << semper::recording_to_text(recording);
//
// It has the state, the entries of maps, the queue with its calls and casts, the lock, announced runs, dead
// letters, the versionstamps of all that, and the sources of cast_once. What states and messages say is in it as
// it is, secrets of yours included: treat the file as you treat the store. Format: docs/formats.md.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/store/backend.h"

namespace semper {

// Of the rows of one recording. Larger ones are refused where they are made and where they are
// read.
inline constexpr std::size_t kRecordingBytes = 64u << 20;

struct RecordOptions {
  // Of the queue, and of the dead letters, at most so many, oldest first. The rest is left out,
  // which the recording says. Fewer where they would not fit into kRecordingBytes.
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
  std::string recorded;        // when, by the calendar: 2030-01-01T00:00:00Z
  Version version = 0;         // of the state of the store that it shows
  std::uint64_t left_out = 0;  // messages at the end of the queue
  bool left_out_dead_letters = false;
  std::vector<Row> rows;
};

// Reads in one transaction, and changes nothing. Errors: not_found, exhausted (its state alone is
// over kRecordingBytes), corrupt (a queue segment that cannot be read), and the store's.
Async<Recording> record_entity(Tenant tenant, EntityId id, RecordOptions options);

// Puts the entity into another store, and has hosts look at it. Success: durable, and whatever this
// store stamps from now on is later than what was recorded. Errors: already_exists (there is such
// an entity), unsupported (this store's versions cannot be raised: restore into memory:), and the
// store's. After any other error, or where it never returns: a part may be there; kill the entity.
Async<void> restore_recording(Tenant tenant, Recording recording);

// JSON lines, as docs/formats.md describes them.
std::string recording_to_text(const Recording& recording);
// Errors: corrupt (the message names the line), unsupported (of a newer version), exhausted.
Result<Recording> recording_from_text(std::string_view text);

}  // namespace semper
