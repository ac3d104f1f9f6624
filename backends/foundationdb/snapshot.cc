#include "snapshot.h"

#include <algorithm>
#include <utility>

namespace semper::foundationdb {
namespace {

// Rows that one question asks for at most.
constexpr std::size_t kPageRowsMaximum = 100'000;

Async<void> wait_as_on_error_says(RawTransaction& transaction, const Database& database,
                                  FdbError code) {
  Future again = transaction.on_error(code);
  SEMPER_CO_TRY(const FdbError given_up, co_await again.ready());
  if (given_up == 0) co_return Status{};
  co_return fail(database.error(given_up, Stage::reading));
}

void make_reader(RawTransaction& transaction, std::chrono::milliseconds timeout) {
  transaction.set_timeout(timeout);
  transaction.disable_read_your_writes();
}

}  // namespace

Async<std::unique_ptr<FdbSnapshot>> FdbSnapshot::open(std::shared_ptr<Connection> connection,
                                                      std::chrono::milliseconds timeout) {
  const Database& database = *connection->database;
  SEMPER_CO_TRY(auto transaction, database.begin());
  for (int attempt = 1;; ++attempt) {
    make_reader(*transaction, timeout);
    const MonotonicTime asked_at = connection->env.clock->now();
    Statistics::add(connection->statistics.read_versions, 1);
    Future answer = transaction->get_read_version();
    SEMPER_CO_TRY(const FdbError code, co_await answer.ready());
    if (code == 0) {
      const auto version = static_cast<Version>(answer.number());
      connection->recent.saw(version, asked_at);
      const MonotonicTime expires = connection->env.clock->after(kSnapshotLife);
      co_return std::unique_ptr<FdbSnapshot>(
          new FdbSnapshot(std::move(connection), std::move(transaction), version, expires));
    }
    if (attempt == kReadAttempts || !may_be_read_again(database.api(), code)) {
      co_return fail(database.error(code, Stage::opening));
    }
    Statistics::add(connection->statistics.retries, 1);
    SEMPER_CO_TRY_STATUS(co_await wait_as_on_error_says(*transaction, database, code));
  }
}

FdbSnapshot::FdbSnapshot(std::shared_ptr<Connection> connection,
                         std::shared_ptr<RawTransaction> transaction, Version version,
                         MonotonicTime expires)
    : connection_(std::move(connection)),
      transaction_(std::move(transaction)),
      version_(version),
      expires_(expires) {}

Status FdbSnapshot::check_age() const {
  if (connection_->env.clock->now() <= expires_) return {};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(kSnapshotLife);
  return fail(ErrorKind::timeout,
              "the snapshot is older than the store's limit transaction_duration = " +
                  std::to_string(limit.count()) + " ms; begin the transaction anew");
}

Result<std::shared_ptr<RawTransaction>> FdbSnapshot::begin_again() const {
  SEMPER_TRY(auto transaction, connection_->database->begin());
  make_reader(*transaction, kReadTimeout);
  transaction->set_read_version(version_);
  return transaction;
}

// After a read that failed: waits until it may be made again, or gives the error to end it with.
Async<void> FdbSnapshot::put_off(FdbError code, int attempt, Backoff& backoff) {
  const Database& database = *connection_->database;
  SEMPER_CO_TRY_STATUS(check_age());
  if (attempt == kReadAttempts || !may_be_read_again(database.api(), code)) {
    co_return fail(database.error(code, Stage::reading));
  }
  Statistics::add(connection_->statistics.retries, 1);
  SEMPER_CO_TRY_STATUS(co_await sleep_for(*connection_->env.clock, backoff.next()));
  SEMPER_CO_TRY(transaction_, begin_again());
  co_return Status{};
}

Async<std::optional<Bytes>> FdbSnapshot::get(BytesView key) {
  auto connection = connection_;
  SEMPER_CO_TRY(const auto inside, connection->enter());
  Statistics::add(connection->statistics.gets, 1);
  const Bytes mapped = connection->keys().in_cluster(key);
  Backoff backoff(kReadBackoff, *connection->env.random);
  for (int attempt = 1;; ++attempt) {
    SEMPER_CO_TRY_STATUS(check_age());
    Future answer = transaction_->get(mapped);
    SEMPER_CO_TRY(const FdbError code, co_await answer.ready());
    if (code == 0) co_return answer.value();
    SEMPER_CO_TRY_STATUS(co_await put_off(code, attempt, backoff));
  }
}

Async<RangePage> FdbSnapshot::get_range(const PageRequest& request) {
  auto connection = connection_;
  SEMPER_CO_TRY(const auto inside, connection->enter());
  if (request.range.empty()) co_return RangePage{};
  const KeyRange mapped{connection->keys().in_cluster(request.range.begin),
                        connection->keys().in_cluster(request.range.end)};
  SEMPER_CO_TRY(RangePage page, co_await read_page(mapped, request, kPageBytes));
  if (page.rows.empty() && page.more) {
    // Nothing was found within the bytes; without that limit there is a row, or the end.
    SEMPER_CO_TRY(page, co_await read_page(mapped, request, 0));
    page.more = page.more && !page.rows.empty();
  }
  for (auto& row : page.rows) row.key = Bytes(connection->keys().in_store(row.key));
  co_return page;
}

Async<RangePage> FdbSnapshot::read_page(const KeyRange& range, const PageRequest& request,
                                        int bytes) {
  Statistics::add(connection_->statistics.ranges, 1);
  const int rows = static_cast<int>(std::clamp<std::size_t>(request.rows, 1, kPageRowsMaximum));
  Backoff backoff(kReadBackoff, *connection_->env.random);
  for (int attempt = 1;; ++attempt) {
    SEMPER_CO_TRY_STATUS(check_age());
    Future answer = transaction_->get_range(range, rows, bytes, request.order);
    SEMPER_CO_TRY(const FdbError code, co_await answer.ready());
    if (code == 0) co_return answer.rows();
    SEMPER_CO_TRY_STATUS(co_await put_off(code, attempt, backoff));
  }
}

}  // namespace semper::foundationdb
