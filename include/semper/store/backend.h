// Backend: what an engine must offer to be a store of Semper.
//
// What for: engines (memory, sqlite, foundationdb, etcd, a third party's). An engine reads from
// snapshots and applies commits; read-your-writes, limits, versionstamp arguments, conflict
// recording, retries and unknown outcomes are the same for all and live above it (transaction.h).
// When not: applications use Store and Transaction.
//
// A third party's backend derives from Backend and Snapshot, registers its URL scheme with
// register_backend(), and runs the conformance suite of semper/testing/store_conformance.h.
//
// Threads: every member of Backend may be called from any thread. A Snapshot is used by one
// coroutine at a time, on any thread. Source of the idea: dgen's backend behaviour and
// FoundationDB's resolver (conflicts are between what one transaction read and another wrote after
// its read version).
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

// A store's own count of its commits; a snapshot is the state after one of them. Grows, with gaps.
using Version = std::uint64_t;

struct Mutation {
  enum class Type : std::uint8_t {
    set,                      // key = value
    clear,                    // key is removed
    clear_range,              // key <= k < value is removed
    add,                      // 8-byte little-endian sum, wrapping; an absent value counts as 0, a
                              // value of another length is cut or zero-extended to 8 bytes first
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
  // How many keys the snapshot holds in the range, for engines that can then see a removal by
  // counting. kRowsUnknown only where BackendTraits::wants_row_counts is false.
  std::uint64_t rows = kRowsUnknown;
};

struct CommitRequest {
  // The version that `reads` were seen at. Meaningless where `reads` is empty.
  Version read_version = 0;
  std::vector<ReadRecord> reads;
  // Ranges that others must see as written although no mutation writes them.
  std::vector<KeyRange> write_conflicts;
  // Applied in this order.
  std::vector<Mutation> mutations;
};

// Where a commit stands in the order of all: its versionstamp is (version, batch). Where
// BackendTraits::versions_are_commits, a transaction may begin at this version and conflicts with
// everything that came after the commit.
struct CommitReceipt {
  Version version = 0;
  std::uint16_t batch = 0;
};

struct RangePage {
  std::vector<KeyValue> rows;
  // True: there may be more rows after the last one (in the order asked for).
  bool more = false;
};

struct PageRequest {
  explicit PageRequest(KeyRange of, std::size_t at_most = 1, Order in = Order::ascending)
      : range(std::move(of)), rows(at_most), order(in) {}

  KeyRange range;
  // At most this many rows; the engine may return fewer and set `more`. At least one row where any.
  std::size_t rows = 1;
  Order order = Order::ascending;
};

// One consistent state of the store, until it is destroyed or older than the duration limit.
class Snapshot {
 public:
  virtual ~Snapshot() = default;

  // Known after fix_version(), after the first read, or at once, as the engine likes: one that asks
  // a server leaves a new snapshot open until it is read, so that beginning costs no round trip.
  virtual Version version() const = 0;

  // Makes version() known. Errors: those of the reads.
  virtual Async<void> fix_version() { co_return Status{}; }

  // Errors: timeout (the snapshot is too old: begin anew), conflict (the engine lost the version,
  // as a cluster that recovers does: run the transaction again), retry, corrupt, io.
  virtual Async<std::optional<Bytes>> get(BytesView key) = 0;
  virtual Async<RangePage> get_range(const PageRequest& request) = 0;
};

// Fires once, when a key may have changed. May fire late or without cause; is never lost.
class Watch {
 public:
  virtual ~Watch() = default;  // gives the watch up

  // Returns when the key has changed since the watch's snapshot, perhaps before the call.
  // Errors: timeout (deadline; may be called again), cancelled, closed (the store was closed).
  virtual Async<void> changed(MonotonicTime deadline = kNever) = 0;
};

struct BackendTraits {
  // ReadRecord::rows must be filled, also for conflict ranges that were not read.
  bool wants_row_counts = false;
  // commit() never leaves an unknown outcome that the engine could not resolve itself; otherwise
  // Transaction adds an idempotency marker to each commit.
  bool resolves_outcomes = false;
  // Each commit has a version of its own (no two differ by batch order only).
  bool versions_are_commits = false;
};

struct BackupProgress {
  enum class Step : std::uint8_t { copy, verify };
  Step step = Step::copy;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // may grow a little
};

struct BackupOptions {
  // Called now and then, on a thread of the backend; should not block for long.
  std::function<void(const BackupProgress& progress)> on_progress = {};
  // Ends the backup: `cancelled`, and nothing is left of it.
  std::stop_token stop = {};
};

struct BackupReport {
  Version version = 0;  // the state that was copied is the one after this commit
  std::uint64_t bytes = 0;
  std::string checked;  // a sentence, as check() gives it
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const Limits& limits() const = 0;
  virtual BackendTraits traits() const = 0;

  // The URL it was opened by, with secrets left out.
  virtual std::string url() const = 0;

  // The newest committed state, at least as new as every commit that returned before the call, in
  // any process. Errors: retry (all read connections stay busy), io, closed.
  virtual Async<std::unique_ptr<Snapshot>> snapshot() = 0;

  // A version that was the newest a moment ago, where that is known without asking: for a commit
  // that has read nothing and checks nothing but its own idempotency marker. Never to be read at.
  // None: take a snapshot.
  virtual std::optional<Version> recent_version() const { return std::nullopt; }

  // Success: everything in the request is applied, durable, and seen by later snapshots.
  // conflict: nothing was applied. outcome_unknown: applied wholly or not at all, possibly still to
  // come. Other errors: nothing was applied. If it never returns (crash): wholly or not at all.
  virtual Async<CommitReceipt> commit(CommitRequest request) = 0;

  // From now on every commit gets a version above `floor`. For stores that take over what another
  // one has stamped (`semper store copy`): a stamp that was already given would break the order of
  // queues, and the caches that tell states apart by it. Success: durable. If it never returns:
  // perhaps. Error: unsupported (the message says by what else the version can be raised). The
  // default succeeds only where the present version is `floor` or above.
  virtual Async<void> raise_version(Version floor);

  // A watch on the key as the snapshot sees it. Error: exhausted (too many watches), closed.
  virtual Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) = 0;

  // Reads everything and reports the first damage as `corrupt`. Success: a sentence on what was
  // checked. May take long; runs beside other work.
  virtual Async<std::string> check() = 0;

  // Makes a copy of the whole store at `path`, a file that is not there yet, while everybody goes
  // on: one state, the newest when it began. It was read again and checked, and can be opened as a
  // store. Success: durable, its name too. Error, or if it never returns: there is no file of that
  // name. Errors: already_exists, conflict (another process makes the same), retry, cancelled,
  // exhausted (no room), corrupt (the store is damaged), permission, io; unsupported: the engine
  // has ways of its own, which the message names. The default.
  virtual Async<BackupReport> backup(std::string path, BackupOptions options);

  // Figures for people and metrics: name -> number. Cheap.
  virtual std::vector<std::pair<std::string, std::int64_t>> statistics() const = 0;

  // Refuses new work, waits for the work under way, fires every watch with `closed`.
  virtual Async<void> close() = 0;

 private:
  friend struct internal::BackendParts;
  internal::MarkerLedger marker_ledger_;
};

// What stands behind "SCHEME:" in a store URL: PATH?name=value&name=value.
struct StoreUrl {
  std::string scheme;
  std::string path;
  std::vector<std::pair<std::string, std::string>> parameters;

  // Error: invalid_argument, naming the place.
  static Result<StoreUrl> parse(std::string_view text);

  // The parameter's value, if it is there. A backend refuses parameters that it does not know
  // (invalid_argument naming those it does).
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
