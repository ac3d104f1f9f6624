#include "semper/sync/store.h"

namespace semper::sync {
namespace {

using SharedTransaction = std::shared_ptr<semper::Transaction>;

Async<std::optional<Bytes>> get_of(SharedTransaction transaction, Bytes key, ReadMode mode) {
  co_return co_await transaction->get(key, mode);
}

Async<RangePage> range_of(SharedTransaction transaction, KeyRange range, RangeOptions options) {
  co_return co_await transaction->get_range(std::move(range), options);
}

Async<Version> version_of(SharedTransaction transaction) {
  co_return co_await transaction->read_version();
}

Async<void> conflict_range_of(SharedTransaction transaction, KeyRange range) {
  co_return co_await transaction->add_read_conflict_range(std::move(range));
}

Async<void> use_of(SharedTransaction transaction,
                   std::function<Async<void>(semper::Transaction&)> use) {
  co_return co_await use(*transaction);
}

Async<Versionstamp> commit_of(SharedTransaction transaction) {
  co_return co_await transaction->commit();
}

Async<void> retry_of(std::shared_ptr<semper::internal::RetryPolicy> policy, Error error) {
  co_return co_await policy->before_retry(error);
}

Async<void> close_of(semper::Store store) {
  co_return co_await store.close();
}

Duration left_until(MonotonicTime deadline) {
  if (deadline == kNever) return kForever;
  return std::max(Duration::zero(), deadline - system_clock().now());
}

}  // namespace

Transaction::Transaction(semper::Transaction transaction, MonotonicTime deadline)
    : transaction_(std::make_shared<semper::Transaction>(std::move(transaction))),
      deadline_(deadline) {}

template <class T>
Result<T> Transaction::finish(Async<T> operation, Late late) {
  if (given_up_) return fail(*given_up_);
  auto result = wait(std::move(operation), left_until(deadline_), late);
  const bool came_late = !result && system_clock().now() >= deadline_;
  if (came_late) given_up_ = result.error();
  return result;
}

Result<std::optional<Bytes>> Transaction::get(BytesView key, ReadMode mode) {
  return finish(get_of(transaction_, Bytes(key), mode), Late::had_no_effect);
}

Result<RangePage> Transaction::get_range(KeyRange range, RangeOptions options) {
  return finish(range_of(transaction_, std::move(range), options), Late::had_no_effect);
}

Result<Version> Transaction::read_version() {
  return finish(version_of(transaction_), Late::had_no_effect);
}

Status Transaction::add_read_conflict_range(KeyRange range) {
  return finish(conflict_range_of(transaction_, std::move(range)), Late::had_no_effect);
}

Status Transaction::run(std::function<Async<void>(semper::Transaction&)> use) {
  return finish(use_of(transaction_, std::move(use)), Late::had_no_effect);
}

Result<Versionstamp> Transaction::commit() {
  return finish(commit_of(transaction_), Late::may_have_effect);
}

namespace internal {

Attempts::Attempts(semper::Store store, const TransactOptions& options)
    : store_(std::move(store)),
      options_(options),
      deadline_(system_clock().after(with_answer_time(options.timeout))),
      policy_(std::make_shared<semper::internal::RetryPolicy>(options, store_.env())) {}

Transaction Attempts::begin() const {
  return Transaction(store_.begin(), deadline_);
}

Status Attempts::after(const Error& error) {
  // Without a timeout, whose error would be in the place of this one: the policy has its own
  // deadline.
  return wait(retry_of(policy_, error));
}

Status Attempts::commit(Transaction& transaction) {
  SEMPER_TRY(const Versionstamp stamp, transaction.commit());
  if (options_.committed_at != nullptr) *options_.committed_at = stamp;
  return {};
}

}  // namespace internal

Status Store::close(Duration timeout) const {
  return wait(close_of(store_), timeout, Late::may_have_effect);
}

}  // namespace semper::sync
