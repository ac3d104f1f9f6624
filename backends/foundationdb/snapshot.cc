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

FdbSnapshot::FdbSnapshot(std::shared_ptr<Connection> connection,
                         std::shared_ptr<RawTransaction> transaction,
                         std::chrono::milliseconds timeout)
    : connection_(std::move(connection)), transaction_(std::move(transaction)), timeout_(timeout) {}

Result<std::unique_ptr<FdbSnapshot>> FdbSnapshot::begin(std::shared_ptr<Connection> connection,
                                                        std::chrono::milliseconds timeout) {
  SEMPER_TRY(auto transaction, connection->database->begin());
  std::unique_ptr<FdbSnapshot> snapshot(
      new FdbSnapshot(std::move(connection), std::move(transaction), timeout));
  snapshot->ask_for_version();
  return snapshot;
}

Async<std::unique_ptr<FdbSnapshot>> FdbSnapshot::open(std::shared_ptr<Connection> connection,
                                                      std::chrono::milliseconds timeout) {
  SEMPER_CO_TRY(auto snapshot, begin(std::move(connection), timeout));
  SEMPER_CO_TRY_STATUS(co_await snapshot->fix_version());
  co_return std::move(snapshot);
}

void FdbSnapshot::ask_for_version() {
  make_reader(*transaction_, timeout_);
  asked_at_ = connection_->env.clock->now();
  Statistics::add(connection_->statistics.read_versions, 1);
  asked_.emplace(transaction_->get_read_version());
}

void FdbSnapshot::know_version(Version version) {
  asked_.reset();
  version_ = version;
  expires_ = connection_->env.clock->after(kSnapshotLife);
  connection_->recent.saw(version, asked_at_);
}

Async<void> FdbSnapshot::fix_version() {
  const Database& database = *connection_->database;
  for (int attempt = 1; asked_; ++attempt) {
    SEMPER_CO_TRY(const FdbError code, co_await asked_->ready());
    if (code == 0) {
      know_version(static_cast<Version>(asked_->number()));
      break;
    }
    if (attempt == kReadAttempts || !may_be_read_again(database.api(), code)) {
      co_return fail(database.error(code, Stage::opening));
    }
    Statistics::add(connection_->statistics.retries, 1);
    SEMPER_CO_TRY_STATUS(co_await wait_as_on_error_says(*transaction_, database, code));
    asked_.reset();
    ask_for_version();
  }
  co_return Status{};
}

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
    // It is known by now, and the wait costs nothing; where it failed, the read failed with it.
    SEMPER_CO_TRY_STATUS(co_await fix_version());
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
    SEMPER_CO_TRY_STATUS(co_await fix_version());
    if (code == 0) co_return answer.rows();
    SEMPER_CO_TRY_STATUS(co_await put_off(code, attempt, backoff));
  }
}

}  // namespace semper::foundationdb
