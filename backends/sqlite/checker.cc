#include "checker.h"

#include <atomic>

#include "semper/base/assert.h"
#include "start_thread.h"
#include "store_file.h"

namespace semper::sqlite {

struct Checker::Run {
  std::thread thread;
  std::atomic<bool> finished = false;
  std::mutex mutex;  // of the connection's life
  sqlite3* interruptible = nullptr;
  bool interrupted = false;
};

namespace {

Error interrupted_error() {
  return Error(
      ErrorKind::retry,
      "the check was ended because the store needs its log back or is being closed; run it "
      "again when there is less traffic");
}

Status check_pages(Connection& connection) {
  SEMPER_TRY(Statement statement, connection.prepare("PRAGMA integrity_check(1)"));
  const int code = statement.step();
  if (code != SQLITE_ROW) return fail(connection.error(code, "cannot check the pages"));
  const std::string answer(statement.column_text(0));
  if (answer == "ok") return {};
  return fail(ErrorKind::corrupt, "store file " + connection.path() +
                                      " is damaged: " + to_printable(answer) +
                                      "; keep a copy of it with its -wal and restore a backup");
}

struct Census {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t version = 0;
};

Result<Census> check_rows(Connection& connection) {
  Census census;
  SEMPER_TRY(Statement meta, connection.prepare("SELECT version, count(*) FROM meta"));
  if (meta.step() != SQLITE_ROW || meta.column_number(1) != 1) {
    return fail(ErrorKind::corrupt,
                "store file " + connection.path() + ": its own record (table meta) is not one row");
  }
  census.version = static_cast<std::uint64_t>(meta.column_number(0));
  SEMPER_TRY(Statement rows, connection.prepare("SELECT key, value, version, checksum FROM kv"));
  Bytes last;
  int code = SQLITE_ROW;
  while ((code = rows.step()) == SQLITE_ROW) {
    const BytesView key = rows.column_bytes(0);
    const BytesView value = rows.column_bytes(1);
    const auto version = static_cast<std::uint64_t>(rows.column_number(2));
    if (row_checksum(key, value, version) != static_cast<std::uint32_t>(rows.column_number(3))) {
      return fail(damaged_row(connection.path(), key));
    }
    if (key.empty() || (census.rows > 0 && key <= last)) {
      return fail(ErrorKind::corrupt, "store file " + connection.path() + ": key " +
                                          to_printable(key) + " is out of order");
    }
    if (version > census.version) {
      return fail(ErrorKind::corrupt, "store file " + connection.path() + ": key " +
                                          to_printable(key) + " is of commit " +
                                          std::to_string(version) + ", the store is at " +
                                          std::to_string(census.version));
    }
    last = key;
    ++census.rows;
    census.bytes += key.size() + value.size();
  }
  if (code != SQLITE_DONE) return fail(connection.error(code, "cannot read the rows"));
  return census;
}

}  // namespace

Result<std::string> check_file(Connection& connection) {
  SEMPER_TRY_STATUS(check_pages(connection));
  SEMPER_TRY_STATUS(connection.execute("BEGIN"));
  SEMPER_TRY(const Census census, check_rows(connection));
  SEMPER_TRY_STATUS(connection.execute("COMMIT"));
  return "pages whole and in order, " + std::to_string(census.rows) + " keys with " +
         std::to_string(census.bytes) + " bytes match their checksums, at version " +
         std::to_string(census.version);
}

Checker::Checker(const SqliteOptions& options, Sidecar& sidecar)
    : options_(&options), sidecar_(&sidecar) {}

Checker::~Checker() {
  suspend();
}

Async<std::string> Checker::check() {
  OneShot<Result<std::string>> done;
  {
    std::lock_guard lock(mutex_);
    if (suspended_) co_return fail(interrupted_error());
    std::erase_if(runs_, [](const std::unique_ptr<Run>& run) {
      if (!run->finished.load()) return false;
      run->thread.join();
      return true;
    });
    if (runs_.size() >= kChecksMaximum) {
      co_return fail(
          ErrorKind::retry, Limit{"kChecksMaximum", kChecksMaximum},
          std::to_string(kChecksMaximum) + " checks of this store run already; wait for one");
    }
    Run& run = *runs_.emplace_back(std::make_unique<Run>());
    const Status started = start_thread(run.thread, "semper-check", [this, &run, done]() mutable {
      auto result = check_now(run);
      run.finished.store(true);
      done.set(std::move(result));
    });
    if (!started) {
      runs_.pop_back();
      co_return fail(started.error());
    }
  }
  SEMPER_CO_TRY(auto result, co_await done.wait());
  co_return result;
}

Result<std::string> Checker::check_now(Run& run) {
  ConnectionOptions how;
  how.path = options_->path.file;
  how.vfs = options_->vfs;
  SEMPER_TRY_STATUS(check_place(*options_));
  auto connection = Connection::open(how);
  if (!connection) return fail(connection.error());
  SEMPER_TRY_STATUS(check_place(*options_));
  {
    std::lock_guard lock(run.mutex);
    if (run.interrupted) return fail(interrupted_error());
    run.interruptible = connection->handle();
  }
  const LongRead marked(*sidecar_);
  auto result = check_file(*connection);
  std::lock_guard lock(run.mutex);
  run.interruptible = nullptr;
  { const Connection closed = std::move(*connection); }
  if (run.interrupted) return fail(interrupted_error());
  return result;
}

void Checker::suspend() {
  std::lock_guard lock(mutex_);
  suspended_ = true;
  for (auto& run : runs_) {
    {
      std::lock_guard running(run->mutex);
      run->interrupted = true;
      if (run->interruptible != nullptr) sqlite3_interrupt(run->interruptible);
    }
    run->thread.join();
  }
  runs_.clear();
}

void Checker::resume() {
  std::lock_guard lock(mutex_);
  suspended_ = false;
}

}  // namespace semper::sqlite
