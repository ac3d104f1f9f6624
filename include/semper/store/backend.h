// Backend: the interface that an engine implements to be a Semper store.
//
// What for: engines (memory, sqlite, foundationdb, etcd, a third party's). An engine reads from
// snapshots and applies commits; read-your-writes, limits, versionstamp arguments, conflict
// recording, retries and unknown outcomes are the same for all engines, and implemented above it
// (transaction.h). When not: applications use Store and Transaction.
//
// A third party's backend derives from Backend and Snapshot, registers its URL scheme with
// register_backend(), and runs the conformance suite of semper/testing/store_conformance.h.
//
// Threads: every member of Backend may be called from any thread. A Snapshot is used by one
// coroutine at a time, on any thread. Source of the idea: dgen's backend behaviour and
// FoundationDB's resolver (a conflict is a write by one transaction to something that another has
// read, after the latter's read version).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/env.h"
#include "semper/store/internal/marker_ledger.h"
#include "semper/store/keys.h"
#include "semper/store/limits.h"

namespace semper {

// A store's count of its commits; a snapshot is the state after one of them. Grows, with gaps.
using Version = std::uint64_t;

struct Mutation {
  enum class Type : std::uint8_t {
    set,                      // key = value
    clear,                    // key is removed
    clear_range,              // key <= k < value is removed
    add,                      // 8-byte little-endian sum, wrapping; an absent value counts as 0, a
                              // value of another length is truncated or zero-extended to 8 bytes
                              // first
    set_versionstamped_key,   // 10 bytes of the key at stamp_offset become the commit's stamp
    set_versionstamped_value  // the same for the value
  };

  Type type = Type::set;
  Bytes key;
  Bytes value;
  std::uint32_t stamp_offset = 0;
};

// "I have seen this range as of my read version": the commit must fail with `conflict` if a later
// commit changed it.
struct ReadRecord {
  static constexpr std::uint64_t kRowsUnknown = ~std::uint64_t{0};

  KeyRange range;
  // How many keys the snapshot has in the range, for engines that can then detect a removal by
  // counting. kRowsUnknown only if BackendTraits::wants_row_counts is false.
  std::uint64_t rows = kRowsUnknown;
};

struct CommitRequest {
  // The version at which `reads` were seen. Meaningless if `reads` is empty.
  Version read_version = 0;
  std::vector<ReadRecord> reads;
  // Ranges that others must treat as written although no mutation writes them.
  std::vector<KeyRange> write_conflicts;
  // Applied in this order.
  std::vector<Mutation> mutations;
};

// The place of a commit in the order of all commits: its versionstamp is (version, batch). If
// BackendTraits::versions_are_commits, a transaction may begin at this version, and conflicts with
// everything that came after the commit.
struct CommitReceipt {
  Version version = 0;
  std::uint16_t batch = 0;
};

struct RangePage {
  std::vector<KeyValue> rows;
  // True: there may be more rows after the last one (in the requested order).
  bool more = false;
};

struct PageRequest {
  explicit PageRequest(KeyRange of, std::size_t at_most = 1, Order in = Order::ascending)
      : range(std::move(of)), rows(at_most), order(in) {}

  KeyRange range;
  // At most this many rows; the engine may return fewer and set `more`. At least one row if there
  // are any.
  std::size_t rows = 1;
  Order order = Order::ascending;
};

// One consistent state of the store, until it is destroyed or older than the duration limit.
class Snapshot {
 public:
  virtual ~Snapshot() = default;

  // Known after fix_version(), after the first read, or at once, depending on the engine: an engine
  // that asks a server chooses the version at the first read, so that beginning costs no round
  // trip.
  virtual Version version() const = 0;

  // Makes version() known. Errors: those of the reads.
  virtual Async<void> fix_version() { co_return Status{}; }

  // Errors: timeout (the snapshot is too old: start again), conflict (the engine lost the version,
  // as in a cluster recovery: run the transaction again), retry, corrupt, io.
  virtual Async<std::optional<Bytes>> get(BytesView key) = 0;
  virtual Async<RangePage> get_range(const PageRequest& request) = 0;
};

// Fires once, when a key may have changed. It may fire late or without cause, but is never lost.
class Watch {
 public:
  virtual ~Watch() = default;  // removes the watch

  // Returns when the key has changed since the watch's snapshot, perhaps before the call.
  // Errors: timeout (deadline; may be called again), cancelled, closed (the store was closed).
  virtual Async<void> changed(MonotonicTime deadline = kNever) = 0;
};

struct BackendTraits {
  // ReadRecord::rows must be filled in, even for conflict ranges that were not read.
  bool wants_row_counts = false;
  // The engine itself resolves unknown outcomes of commit(). Otherwise Transaction adds an
  // idempotency marker to each commit.
  bool resolves_outcomes = false;
  // Each commit has its own version (no two differ only by batch order).
  bool versions_are_commits = false;
};

struct BackupProgress {
  enum class Step : std::uint8_t { copy, verify };
  Step step = Step::copy;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // may grow a little
};

struct BackupOptions {
  // Called from time to time, on a thread of the backend; should not block for long, and must not
  // wait for a commit to the same store: a store that is opened again after a failure waits for it.
  std::function<void(const BackupProgress& progress)> on_progress = {};
  // Stops the backup: it returns `cancelled` and leaves nothing behind.
  std::stop_token stop = {};
};

struct BackupReport {
  Version version = 0;  // the copied state is the one after this commit
  std::uint64_t bytes = 0;
  std::string checked;  // a sentence, as from check()
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const Limits& limits() const = 0;
  virtual BackendTraits traits() const = 0;

  // The URL with which it was opened, without secrets.
  virtual std::string url() const = 0;

  // The newest committed state, at least as new as every commit that returned before the call, in
  // any process. Errors: retry (all read connections stay busy), io, closed.
  virtual Async<std::unique_ptr<Snapshot>> snapshot() = 0;

  // A version that was the newest a moment ago, if that is known without asking: for a commit that
  // has read nothing and checks only its own idempotency marker. Never read at it. None: take a
  // snapshot.
  virtual std::optional<Version> recent_version() const { return std::nullopt; }

  // Success: everything in the request is applied, durable, and seen by later snapshots. conflict:
  // nothing was applied. outcome_unknown: applied completely or not at all, possibly later. Other
  // errors: nothing was applied. If it never returns (crash): completely or not at all.
  virtual Async<CommitReceipt> commit(CommitRequest request) = 0;

  // From now on, every commit gets a version above `floor`. For stores that take over data with the
  // stamps of another one (`semper store copy`): a repeated stamp would break the order of queues,
  // and caches that distinguish states by it. Success: durable. If it never returns: perhaps
  // raised. Error: unsupported (the message says how else the version can be raised). The default
  // implementation succeeds only if the current version is `floor` or above.
  virtual Async<void> raise_version(Version floor);

  // A watch on the key as the snapshot sees it. Error: exhausted (too many watches), closed.
  virtual Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) = 0;

  // Reads everything and reports the first damage as `corrupt`. Success: a sentence about what was
  // checked. May take long; other work continues.
  virtual Async<std::string> check() = 0;

  // Copies the whole store to `path`, a file that does not exist yet, while the store is in use.
  // The copy is one consistent state, the newest when the backup began; it has been read again and
  // checked, and can be opened as a store. Success: durable, including its name. On an error, or if
  // it never returns, there is no file of that name. Errors: already_exists, conflict (another
  // process is making the same file), retry, cancelled, exhausted (no space), corrupt (the store is
  // damaged), permission, io; unsupported (the engine has its own ways of backup, which the message
  // names), which is the default.
  virtual Async<BackupReport> backup(std::string path, BackupOptions options);

  // Figures for people and metrics: name -> number. Cheap.
  virtual std::vector<std::pair<std::string, std::int64_t>> statistics() const = 0;

  // Refuses new work, waits for work in progress, and fires every watch with `closed`.
  virtual Async<void> close() = 0;

 private:
  friend struct internal::BackendParts;
  internal::MarkerLedger marker_ledger_;
};

// The part after "SCHEME:" in a store URL: PATH?name=value&name=value.
struct StoreUrl {
  std::string scheme;
  std::string path;
  std::vector<std::pair<std::string, std::string>> parameters;

  // Error: invalid_argument, naming the position.
  static Result<StoreUrl> parse(std::string_view text);

  // The parameter's value, if it is present. A backend refuses parameters that it does not know
  // (invalid_argument, naming the known ones).
  std::optional<std::string> parameter(std::string_view name) const;
  Status allow_only(std::initializer_list<std::string_view> names) const;

  std::string to_string() const;
};

using BackendFactory = std::function<Async<std::shared_ptr<Backend>>(StoreUrl url, Env env)>;

// Makes "SCHEME:..." known to open_backend; a second registration of a scheme replaces the first.
void register_backend(std::string scheme, BackendFactory factory);

// Errors: invalid_argument (unknown scheme, listing those known), and the backend's own.
Async<std::shared_ptr<Backend>> open_backend(std::string url, Env env);

}  // namespace semper
