// Snapshot, Watch: how an engine is read, and how it says that a key has changed.
//
// What for: implementing a Backend (store/backend.h), and PageRequest for reading page by page.
// When not: applications read and watch through a Transaction.
//
// Threads: a Snapshot is used by one coroutine at a time, on any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/store/commit.h"
#include "semper/store/keys.h"

namespace semper {

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

}  // namespace semper
