// TransactOptions: how often, and for how long, Store::transact runs its function again.
//
// What for: keys that many transactions contend for. When not: the defaults suit nearly every
// program.
//
//   semper::TransactOptions options;
//   options.timeout = std::chrono::seconds(5);
//   auto done = co_await store.transact(change, options);
//
// Threads: values.
#pragma once

#include <chrono>

#include "semper/base/time.h"
#include "semper/env/backoff.h"
#include "semper/store/versionstamp.h"

namespace semper {

struct TransactOptions {
  // Maximum runs of the function. After that, `conflict` with the number of attempts or, if the
  // last one took longer than the store's transaction_duration, `timeout`. Raise it only for keys
  // that many transactions contend for; avoiding the contention is better.
  int max_attempts = 100;
  // Time from the call to the start of the last attempt. After that, `timeout`, with nothing
  // applied. If the first attempt outlives its snapshot (is_too_old: the process was paused), a
  // second one follows in any case.
  Duration timeout = std::chrono::seconds(30);
  // Pauses between attempts, after the first retry, which is immediate.
  BackoffOptions backoff = {.initial = std::chrono::microseconds(500),
                            .maximum = std::chrono::milliseconds(100)};
  // If not null: receives the stamp of the commit.
  Versionstamp* committed_at = nullptr;
};

}  // namespace semper
