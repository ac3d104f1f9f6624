// Transaction: serializable reads and writes that take effect together or not at all.
//
// What for: changing several keys of a store in one step, concurrently with any number of other
// transactions, on any backend. When not: entities with a queue; a durable server (semper/server)
// does this for you.
//
//   auto pay = [](semper::Transaction& tx) -> semper::Async<std::int64_t> {
//     SEMPER_CO_TRY(auto old, co_await tx.get("balance/ann"));
//     const auto balance = parse(old);
//     tx.set("balance/ann", format(balance - 10));
//     tx.add("transfers", 1);
//     co_return balance - 10;
//   };
//   auto left = co_await store.transact(pay);
//
// Reads see one snapshot of the store and the transaction's own writes. Writes are buffered until
// commit(). If something that was read has changed by then, commit() returns `conflict` and nothing
// is applied; Store::transact runs the function again.
//
// Durability: success of commit(): all writes are on stable storage. Any error but outcome_unknown:
// none ever will be. If commit() never returns (a crash): all or none. An idempotency marker
// resolves a backend's unknown outcome; outcome_unknown is returned only if the store could not be
// asked.
//
// Mistakes in writes (a key or value over its limit) do not throw: they are recorded, and commit()
// returns the first of them. Threads: one coroutine at a time, on any thread. The transaction must
// not outlive its store's close(). Source of the idea: FoundationDB's transaction and
// read-your-writes layer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "semper/store/backend.h"
#include "semper/store/versionstamp.h"

namespace semper {

enum class ReadMode : std::uint8_t {
  serializable,  // what was read must still hold at the commit
  snapshot       // it may have changed by then: for reads that decide nothing
};

struct RangeOptions {
  // At most this many rows; 0: all of them, up to kRangeBytesMaximum in one result.
  std::size_t limit = 0;
  Order order = Order::ascending;
  ReadMode mode = ReadMode::serializable;
};

// One get_range returns at most about this many bytes, then sets `more`.
inline constexpr std::size_t kRangeBytesMaximum = 4u << 20;

struct TransactionOptions {
  // Start from this version without reading the store first: for callers that still have the data
  // they read at that version. Reads of the store fail with `conflict` if it has changed since;
  // conflict ranges are checked from this version on. Default: the newest version, at the first
  // read.
  std::optional<Version> read_version;
};

class Transaction {
 public:
  Transaction(std::shared_ptr<Backend> backend, Env env, TransactionOptions options = {});
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction();  // without commit(): nothing is applied

  // Errors of all reads: timeout (older than limits().transaction_duration: start again), conflict
  // (the read_version option, or a cluster recovery), retry (a cluster that does not answer),
  // unsupported (a value that only commit() will know), corrupt, io.
  // Views are used until the call completes, never after.
  Async<std::optional<Bytes>> get(BytesView key, ReadMode mode = ReadMode::serializable);

  // Rows of `range` in order. `more`: call again from after the last row (key_after) for the rest.
  // Versionstamped keys set by this transaction are not seen.
  Async<RangePage> get_range(KeyRange range, RangeOptions options = {});

  // The snapshot's version; opens the snapshot if nothing has been read yet.
  Async<Version> read_version();

  void set(BytesView key, BytesView value);
  void clear(BytesView key);
  void clear_range(const KeyRange& range);
  // Adds to the 8-byte little-endian number there (absent: 0), wrapping, without reading it: adds
  // do not conflict with each other.
  void add(BytesView key, std::int64_t amount);
  // Writes the commit's 10-byte versionstamp over key[stamp_offset, +10). This transaction neither
  // knows nor sees the key.
  void set_versionstamped_key(Bytes key, std::size_t stamp_offset, BytesView value);
  void set_versionstamped_value(BytesView key, Bytes value, std::size_t stamp_offset);

  // Treats a range as read, or as written, for conflicts only.
  Async<void> add_read_conflict_range(KeyRange range);
  void add_write_conflict_range(KeyRange range);

  // The same if the caller knows how many keys the range has at read_version: needs no read.
  void assume_unchanged(KeyRange range, std::uint64_t rows);

  // Fires when the key changes after this transaction's snapshot; keeps working after the commit or
  // destruction.
  Async<std::unique_ptr<Watch>> watch(BytesView key);

  // Applies the writes. Returns the commit's stamp; if there are no writes, there is nothing to
  // apply: it returns the incomplete stamp without any check (reads alone are serializable as of
  // their snapshot). Errors: conflict (run the whole transaction again), exhausted and
  // invalid_argument (a limit or a bad argument: change the transaction), outcome_unknown (look at
  // the data), timeout, io, closed. May be called once.
  Async<Versionstamp> commit();

  // Bytes and operations so far, as limits() counts them.
  std::size_t size_bytes() const;
  std::size_t operation_count() const;

  const Limits& limits() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper
