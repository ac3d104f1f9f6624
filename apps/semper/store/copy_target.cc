#include "store/copy_target.h"

#include <algorithm>
#include <utility>

#include "semper/base/codec.h"

namespace semper::cli {
namespace {

// Operations of a batch besides its rows: the record.
constexpr std::size_t kOperationsOfOurs = 2;
constexpr std::size_t kCopierBytes = 8;

}  // namespace

CopyTarget::CopyTarget(Store store) : store_(std::move(store)) {
  const Limits& limits = store_.limits();
  const std::size_t operations = std::max(limits.transaction_operations, kOperationsOfOurs + 1);
  rows_maximum_ = std::min(operations - kOperationsOfOurs, kCopyBatchRows);
  bytes_maximum_ = std::min(limits.transaction_bytes / 2, kCopyBatchBytes);
}

Async<std::optional<CopyRecord>> CopyTarget::find_record() const {
  SEMPER_CO_TRY(const auto stored, co_await store_.transact([](Transaction& transaction) {
    return transaction.get(kCopyRecordKey, ReadMode::snapshot);
  }));
  if (!stored) co_return std::nullopt;
  auto record = decode<CopyRecord>(*stored);
  if (!record) {
    co_return fail(ErrorKind::corrupt, "the record of a copy in " + store_.url() +
                                           " cannot be read (" + record.error().message() +
                                           "); begin anew with --overwrite");
  }
  if (record->format > CopyRecord::kFormat) {
    co_return fail(ErrorKind::unsupported, "the copy in " + store_.url() +
                                               " was begun by a newer version of Semper (format " +
                                               std::to_string(record->format) +
                                               "); go on with that one");
  }
  co_return std::move(*record);
}

Async<bool> CopyTarget::is_empty() const {
  const KeyRange all("", kReservedKeysBegin);
  RangeOptions options;
  options.limit = 1;
  options.mode = ReadMode::snapshot;
  SEMPER_CO_TRY(const auto page, co_await store_.transact([&](Transaction& transaction) {
    return transaction.get_range(all, options);
  }));
  co_return page.rows.empty();
}

Async<void> CopyTarget::claim(CopyRecord record) {
  record_ = std::move(record);
  record_.copier = to_hex(store_.env().random->bytes(kCopierBytes));
  const Bytes encoded = encode(record_);
  SEMPER_CO_TRY_STATUS(co_await store_.transact([&](Transaction& transaction) -> Async<void> {
    transaction.set(kCopyRecordKey, encoded);
    co_return Status{};
  }));
  claim_ = encoded;
  co_return Status{};
}

bool CopyTarget::has_room_for(const KeyValue& row) const {
  if (operations_ == 0) return true;
  return operations_ < rows_maximum_ &&
         bytes_ + row.key.size() + row.value.size() <= bytes_maximum_;
}

void CopyTarget::set(const KeyValue& row) {
  bytes_ += row.key.size() + row.value.size();
  ++operations_;
  rows_.push_back(row);
}

void CopyTarget::clear(const KeyValue& row) {
  bytes_ += row.key.size();
  ++operations_;
  cleared_.push_back(row.key);
}

Async<void> CopyTarget::check_claim(Transaction& transaction) const {
  SEMPER_CO_TRY(const auto stored, co_await transaction.get(kCopyRecordKey));
  if (stored == claim_) co_return Status{};
  co_return fail(ErrorKind::retry, "another copy into " + store_.url() +
                                       " has taken over, or finished; this one has ended");
}

Async<void> CopyTarget::write() {
  const Bytes encoded = encode(record_);
  const auto write_batch = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await check_claim(transaction));
    for (const auto& row : rows_) transaction.set(row.key, row.value);
    for (const auto& key : cleared_) transaction.clear(key);
    if (encoded != claim_) transaction.set(kCopyRecordKey, encoded);
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await store_.transact(write_batch));
  claim_ = encoded;
  rows_.clear();
  cleared_.clear();
  operations_ = bytes_ = 0;
  co_return Status{};
}

Async<void> CopyTarget::finish() {
  co_return co_await store_.transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await check_claim(transaction));
    transaction.clear(kCopyRecordKey);
    co_return Status{};
  });
}

}  // namespace semper::cli
