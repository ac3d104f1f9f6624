// Limits: how much a backend accepts at once, so that the layers above can size their work.
//
// What for: cutting big values into chunks and batches into transactions before the backend refuses
// them. When not: as a promise of speed; a transaction close to a limit is slow on every backend.
//
//   if (batch_bytes + next.size() > store.limits().transaction_bytes / 2) commit_now();
//
// A transaction that exceeds a limit fails with `exhausted` (too much) or `timeout` (too long). The
// message names the limit and its value, and nothing is applied.
#pragma once

#include <cstddef>

#include "semper/base/time.h"

namespace semper {

struct Limits {
  std::size_t key_bytes = 10'000;
  std::size_t value_bytes = 100'000;
  // Keys and values of all mutations, and keys of all conflict ranges, of one transaction.
  std::size_t transaction_bytes = 10'000'000;
  // Mutations of one transaction.
  std::size_t transaction_operations = 100'000;
  // From the first read to the commit.
  Duration transaction_duration = std::chrono::seconds(5);
};

}  // namespace semper
