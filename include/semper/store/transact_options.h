// TransactOptions: how often, and for how long, Store::transact runs its function again.
//
// What for: keys that many transactions fight over. When not: the defaults do for nearly everybody.
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
  // Runs of the function at most; then `conflict` with the number of attempts, or, where the last one
  // took longer than the store's transaction_duration, `timeout`. Raise it only for keys that many
  // transactions fight over; better make them not fight.
  int max_attempts = 100;
  // From the call to the last attempt's start; then `timeout`. Nothing was applied.
  Duration timeout = std::chrono::seconds(30);
  // Waits between attempts after the first retry, which is immediate.
  BackoffOptions backoff = {.initial = std::chrono::microseconds(500),
                            .maximum = std::chrono::milliseconds(100)};
  // Where not null: gets the stamp of the commit.
  Versionstamp* committed_at = nullptr;
};

}  // namespace semper
