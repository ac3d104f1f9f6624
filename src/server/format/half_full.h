// Where work of several messages ends its transaction, so that the rest has one of its own.
#pragma once

#include "semper/store/transaction.h"

namespace semper::internal {

inline bool is_half_full(const Transaction& transaction) {
  const auto& limits = transaction.limits();
  return transaction.size_bytes() > limits.transaction_bytes / 2 ||
         transaction.operation_count() > limits.transaction_operations / 2;
}

}  // namespace semper::internal
