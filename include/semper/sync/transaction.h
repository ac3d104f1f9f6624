// sync::Transaction: the transaction that sync::Store::transact passes to its function.
//
// What for: reads and writes without coroutines. When not: do not create one yourself; transact()
// creates it, runs the function again after a conflict, and commits.
//
//   auto done = store.transact([&](semper::sync::Transaction& tx) -> semper::Status {
//     SEMPER_TRY(const auto old, tx.get("visits"));
//     if (!old) tx.set("visits", "none yet");
//     return {};
//   });
//
// Threads: one at a time, the one that runs the function.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "semper/store/transaction.h"
#include "semper/sync/wait.h"

namespace semper::sync {

// As semper::Transaction. After a read that timed out, every operation that has a result gives that
// error.
class Transaction {
 public:
  Transaction(semper::Transaction transaction, MonotonicTime deadline);

  Result<std::optional<Bytes>> get(BytesView key, ReadMode mode = ReadMode::serializable);
  Result<RangePage> get_range(KeyRange range, RangeOptions options = {});
  Result<Version> read_version();
  Status add_read_conflict_range(KeyRange range);
  // For operations that have no blocking form here; `use` may read, and buffer writes.
  Status run(std::function<Async<void>(semper::Transaction&)> use);

  // Writes do nothing after a read that timed out: it may still run and use the transaction.
  void set(BytesView key, BytesView value) {
    if (!given_up_) transaction_->set(key, value);
  }
  void clear(BytesView key) {
    if (!given_up_) transaction_->clear(key);
  }
  void clear_range(const KeyRange& range) {
    if (!given_up_) transaction_->clear_range(range);
  }
  void add(BytesView key, std::int64_t amount) {
    if (!given_up_) transaction_->add(key, amount);
  }
  void set_versionstamped_key(Bytes key, std::size_t stamp_offset, BytesView value) {
    if (given_up_) return;
    transaction_->set_versionstamped_key(std::move(key), stamp_offset, value);
  }
  void set_versionstamped_value(BytesView key, Bytes value, std::size_t stamp_offset) {
    if (given_up_) return;
    transaction_->set_versionstamped_value(key, std::move(value), stamp_offset);
  }
  void add_write_conflict_range(KeyRange range) {
    if (!given_up_) transaction_->add_write_conflict_range(std::move(range));
  }
  std::size_t size_bytes() const { return given_up_ ? 0 : transaction_->size_bytes(); }
  const Limits& limits() const { return transaction_->limits(); }

  // Store::transact does it.
  Result<Versionstamp> commit();

 private:
  template <class T>
  Result<T> finish(Async<T> operation, Late late);

  // Shared with the operation in progress, which continues even if nobody waits any more.
  std::shared_ptr<semper::Transaction> transaction_;
  MonotonicTime deadline_;
  std::optional<Error> given_up_;
};

}  // namespace semper::sync
