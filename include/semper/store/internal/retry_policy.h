// The pauses and the end of Store::transact's attempts.
#pragma once

#include "semper/env/asio.h"
#include "semper/env/backoff.h"
#include "semper/env/env.h"
#include "semper/store/transact_options.h"

namespace semper::internal {

// Decides about the next attempt of a transaction; the loop itself is Store::transact's.
class RetryPolicy {
 public:
  RetryPolicy(const TransactOptions& options, Env env);
  // Waits as long as it takes before the next attempt; the error ends the loop.
  Async<void> before_retry(const Error& error);

 private:
  TransactOptions options_;
  Env env_;
  MonotonicTime deadline_;
  int attempts_ = 1;
  Backoff backoff_;
};

}  // namespace semper::internal
