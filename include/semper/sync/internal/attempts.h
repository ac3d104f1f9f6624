// The attempts of one sync::Store::transact.
#pragma once

#include <memory>

#include "semper/store/store.h"
#include "semper/sync/transaction.h"

namespace semper::sync::internal {

class Attempts {
 public:
  Attempts(semper::Store store, const TransactOptions& options);
  Transaction begin() const;
  // Success: run the function again. Error: that is the end.
  Status after(const Error& error);
  // Success: committed.
  Status commit(Transaction& transaction);

 private:
  semper::Store store_;
  TransactOptions options_;
  MonotonicTime deadline_;
  std::shared_ptr<semper::internal::RetryPolicy> policy_;
};

}  // namespace semper::sync::internal
