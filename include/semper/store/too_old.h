// is_too_old: whether an error says that a transaction's snapshot outlived the store's limit.
//
// What for: your own loops over Store::begin(), which must then start again. When not: with
// Store::transact, which does so by itself.
//
//   auto value = co_await transaction.get(key);
//   if (!value && semper::is_too_old(value.error())) start_another();   // nothing was applied
//
// It can happen to the fastest transaction, if its process was paused, its machine suspended or its
// disk stalled for longer than limits().transaction_duration. So give up only after several
// attempts. Threads: any.
#pragma once

#include <string_view>

#include "semper/base/result.h"

namespace semper {

// The name of Limits::transaction_duration in Error::limit(), in milliseconds there.
inline constexpr const char* kTransactionDurationLimit = "transaction_duration";

// True for the timeout of a Transaction's read, or of a commit whose reads were too long ago.
// Nothing was applied.
inline bool is_too_old(const Error& error) {
  if (error.kind() != ErrorKind::timeout) return false;
  const auto limit = error.limit();
  return limit && std::string_view(limit->name) == kTransactionDurationLimit;
}

}  // namespace semper
