// Counters of one open handle, for Backend::statistics().
#pragma once

#include <atomic>
#include <cstdint>

namespace semper::sqlite {

struct Statistics {
  using Counter = std::atomic<std::int64_t>;

  Counter commits = 0;             // requests applied
  Counter conflicts = 0;           // requests refused
  Counter batches = 0;             // SQLite transactions
  Counter largest_batch = 0;       // requests in one
  Counter flushes = 0;             // of the log, each for all that was written by then
  Counter flush_time_us = 0;       // all together
  Counter turn_wait_us = 0;        // for the turn to commit, all together
  Counter validations_by_log = 0;  // requests validated without SQL
  Counter validations_by_sql = 0;
  Counter recoveries = 0;  // failed commits whose outcome was found out
  Counter wal_bytes = 0;
  Counter checkpoints = 0;
  Counter wal_restarts = 0;
  Counter wal_waits = 0;  // for readers, with a log past its bound, 50 ms each
  Counter snapshots = 0;
  Counter snapshots_shared = 0;  // of those, on a read transaction that was open already
  Counter snapshots_revoked = 0;
  Counter watches = 0;  // now
  Counter wake_ups = 0;

  static void add(Counter& counter, std::int64_t amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }
};

}  // namespace semper::sqlite
