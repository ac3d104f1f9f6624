#include "read_only.h"

#include <sys/stat.h>

#include <utility>

#include "checker.h"
#include "log_readers.h"
#include "reader.h"
#include "recovery.h"
#include "rights.h"
#include "semper/env/blocking.h"
#include "snapshot.h"
#include "store_file.h"

namespace semper::sqlite {
namespace {

using Access = ConnectionOptions::Access;

// What a write to a file changes of it, whoever writes.
struct FileMark {
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  friend bool operator==(const FileMark&, const FileMark&) = default;
};

Result<FileMark> state_of(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return fail(error_from_errno(errno, "cannot look at the store's file " + file));
  }
  return FileMark{status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

// A connection that writes nothing, and what has to be as it was for what it reads to be true.
struct View {
  Access access = Access::read_only;
  FileMark file;

  static Result<View> choose(const SqliteOptions& options) {
    View view;
    SEMPER_TRY(view.file, state_of(options.path.file));
    if (size_of_log(options) == 0) view.access = Access::immutable;
    if (view.access == Access::read_only) SEMPER_TRY_STATUS(check_index(options));
    return view;
  }

  Status check(const SqliteOptions& options) const {
    if (access == Access::read_only) return {};  // SQLite sees to it
    SEMPER_TRY(const FileMark now, state_of(options.path.file));
    if (now == file) return {};
    return fail(ErrorKind::conflict, "the store's file " + options.path.file +
                                         " was written to while it was read without a lock; run "
                                         "the whole transaction again");
  }

 private:
  static Status check_index(const SqliteOptions& options) {
    SEMPER_TRY_STATUS(check_may_read(options.path.wal()));
    struct stat status {};
    if (::stat(options.path.index().c_str(), &status) == 0) {
      return check_may_read(options.path.index());
    }
    return fail(ErrorKind::permission,
                "the log " + options.path.wal() +
                    " was left by a crash, and without its index only who may write in " +
                    options.path.directory +
                    " can read it: open the store once as such a user (semper store info)");
  }
};

class ReadOnlySnapshot final : public Snapshot {
 public:
  struct Life {
    Clock* clock = nullptr;
    MonotonicTime expires{};
    ForkGuard fork;
  };

  ReadOnlySnapshot(const SqliteOptions& options, View view, Life life)
      : options_(options), view_(view), life_(life) {}

  // Opens the store. Errors as of ReadOnlyBackend::snapshot.
  Status begin() {
    SEMPER_TRY(reader_, Reader::open_for_reading(options_, view_.access));
    SEMPER_TRY(version_, reader_->begin());
    // SQLite shows what is in the log before it is durable.
    if (view_.access == Access::read_only) SEMPER_TRY_STATUS(flush_log(options_.path));
    return view_.check(options_);
  }

  Version version() const override { return version_; }

  Async<std::optional<Bytes>> get(BytesView key) override {
    SEMPER_CO_TRY_STATUS(check());
    auto value = reader_->get(key);
    SEMPER_CO_TRY_STATUS(view_.check(options_));
    co_return value;
  }

  Async<RangePage> get_range(const PageRequest& request) override {
    SEMPER_CO_TRY_STATUS(check());
    auto page = reader_->get_range(request);
    SEMPER_CO_TRY_STATUS(view_.check(options_));
    co_return page;
  }

 private:
  Status check() const {
    SEMPER_TRY_STATUS(life_.fork.check("this store"));
    if (life_.clock->now() < life_.expires) return {};
    return fail(too_old_error());
  }

  const SqliteOptions& options_;  // the backend's, which outlives its snapshots
  const View view_;
  const Life life_;
  std::unique_ptr<Reader> reader_;
  Version version_ = 0;
};

}  // namespace

Error opened_for_reading(const SqliteOptions& options) {
  return Error(ErrorKind::permission, "the store " + options.url +
                                          " was opened for reading (access=read): nothing was "
                                          "written; open it without that to write");
}

Result<std::shared_ptr<Backend>> ReadOnlyBackend::open(SqliteOptions options, Env env) {
  prepare_process();
  SEMPER_TRY(const NamedFile file, look_at(options.path.file));
  std::shared_ptr<ReadOnlyBackend> backend(
      new ReadOnlyBackend(std::move(options), env, file.identity));
  // What cannot be read at all is said now.
  SEMPER_TRY(const View view, View::choose(backend->options_));
  SEMPER_TRY_STATUS(Reader::open_for_reading(backend->options_, view.access));
  return std::shared_ptr<Backend>(std::move(backend));
}

const Limits& ReadOnlyBackend::limits() const {
  return kStoreLimits;
}

BackendTraits ReadOnlyBackend::traits() const {
  return {.wants_row_counts = false, .resolves_outcomes = true, .versions_are_commits = true};
}

Status ReadOnlyBackend::check_usable() const {
  SEMPER_TRY_STATUS(fork_.check("this store"));
  if (closed_) return fail(ErrorKind::closed, "the store was closed");
  const auto present = look_at(options_.path.file);
  if (present && present->identity == store_) return {};
  return fail(lost_file(options_.path.file, present));
}

Async<std::unique_ptr<Snapshot>> ReadOnlyBackend::snapshot() {
  SEMPER_CO_TRY_STATUS(check_usable());
  SEMPER_CO_TRY(const View view, View::choose(options_));
  ReadOnlySnapshot::Life life;
  life.clock = env_.clock;
  life.expires = env_.clock->after(kStoreLimits.transaction_duration);
  auto snapshot = std::make_unique<ReadOnlySnapshot>(options_, view, life);
  SEMPER_CO_TRY_STATUS(snapshot->begin());
  co_return std::unique_ptr<Snapshot>(std::move(snapshot));
}

Async<CommitReceipt> ReadOnlyBackend::commit(CommitRequest) {
  co_return fail(opened_for_reading(options_));
}

Async<void> ReadOnlyBackend::raise_version(Version) {
  co_return fail(opened_for_reading(options_));
}

Async<std::unique_ptr<Watch>> ReadOnlyBackend::watch(BytesView, Snapshot&) {
  co_return fail(ErrorKind::unsupported,
                 "who may not write beside the store " + options_.url +
                     " is not told of its changes: look again now and then, or watch as a user "
                     "who may");
}

Async<std::string> ReadOnlyBackend::check() {
  SEMPER_CO_TRY_STATUS(check_usable());
  const auto read_everything = [this]() -> Result<std::string> {
    SEMPER_TRY(const View view, View::choose(options_));
    ConnectionOptions how;
    how.path = options_.path.file;
    how.vfs = options_.vfs;
    how.access = view.access;
    SEMPER_TRY(Connection connection, Connection::open(how));
    auto checked = check_file(connection);
    SEMPER_TRY_STATUS(view.check(options_));
    return checked;
  };
  co_return co_await run_blocking(read_everything);
}

Async<BackupReport> ReadOnlyBackend::backup(std::string, BackupOptions) {
  co_return fail(ErrorKind::unsupported,
                 "who may not write beside the store " + options_.url +
                     " makes no backup of it: copies of a store in use need its log to be held; "
                     "run it as a user who may, or `semper store copy` into another store");
}

std::vector<std::pair<std::string, std::int64_t>> ReadOnlyBackend::statistics() const {
  return {{"read_only", 1}, {"wal_file_bytes", size_of_log(options_)}};
}

Async<void> ReadOnlyBackend::close() {
  closed_ = true;
  co_return Status{};
}

}  // namespace semper::sqlite
