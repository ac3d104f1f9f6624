#include "recovery.h"

#include <cerrno>

#include "descriptor.h"
#include "log_chain.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

Status sync_file(const std::string& path, int access) {
  const Descriptor file(path, access);
  if (file.number() < 0 || ::fdatasync(file.number()) != 0) {
    return fail(error_from_errno(errno, "cannot sync " + path));
  }
  return {};
}

Status when_begun(Writer& writer) {
  SEMPER_TRY_STATUS(writer.begin());
  return {};
}

Status truncate_wal(Writer& writer) {
  sqlite3* handle = writer.connection().handle();
  sqlite3_busy_timeout(handle, kTruncateWaitMs);
  const int code =
      sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(handle, ConnectionOptions().busy_timeout_ms);
  if (code != SQLITE_OK) return fail(writer.connection().error(code, "cannot empty the WAL"));
  return {};
}

}  // namespace

// SQLite takes no lock on the WAL file itself, so that a descriptor of our own does no harm.
Status rewrite_log(const StorePath& store) {
  const std::string path = store.wal();
  const Descriptor file(path, O_RDWR);
  if (file.number() < 0) {
    if (errno == ENOENT) return {};
    return fail(error_from_errno(errno, "cannot open " + path));
  }
  Bytes chunk(kChunkBytes, '\0');
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(file.number(), chunk.data(), chunk.size(), offset);
    if (got < 0) return fail(error_from_errno(errno, "cannot read " + path));
    if (got == 0) break;
    const ssize_t put =
        ::pwrite(file.number(), chunk.data(), static_cast<std::size_t>(got), offset);
    if (put != got) return fail(error_from_errno(errno, "cannot write " + path + " over itself"));
    offset += got;
  }
  if (::fdatasync(file.number()) != 0) {
    return fail(error_from_errno(errno, "cannot sync " + path));
  }
  return {};
}

Status renew_log(const StorePath& path, const std::function<Status(const StorePath&)>& rewrite) {
  const bool believes = SEMPER_MUTANT("sqlite_lost_frames_believed");
  if (!believes) SEMPER_TRY_STATUS(check_log(path));
  SEMPER_TRY_STATUS(rewrite(path));
  if (believes || SEMPER_MUTANT("sqlite_log_believed_after_the_rewrite")) return {};
  return check_log(path);
}

Result<Version> refresh_log(Writer& writer, const SqliteOptions& options, Statistics& statistics) {
  const auto base = writer.begin();
  const Status refreshed = base ? renew_log(options.path) : check_log(options.path);
  if (base) writer.rollback();
  SEMPER_TRY_STATUS(refreshed);
  if (!base) return fail(base.error());
  Statistics::add(statistics.recoveries, 1);
  return base->version;
}

Status flush_log(const StorePath& store) {
  return sync_file(store.wal(), O_RDONLY);
}

Result<Recovered> recover_store(const SqliteOptions& options, Statistics& statistics) {
  auto writer = Writer::open(options, statistics);
  // Within a transaction, which keeps strangers from writing to the WAL meanwhile.
  const Status begun = writer ? when_begun(**writer) : fail(writer.error());
  // Before it is believed that the store is damaged, and before anything is written.
  if (!SEMPER_MUTANT("sqlite_lost_frames_believed")) SEMPER_TRY_STATUS(check_log(options.path));
  SEMPER_TRY_STATUS(begun);
  const auto rewritten = renew_log(options.path);
  (*writer)->rollback();
  SEMPER_TRY_STATUS(rewritten);
  SEMPER_TRY_STATUS(truncate_wal(**writer));
  SEMPER_TRY_STATUS(sync_file(options.path.wal(), O_RDWR));
  SEMPER_TRY(const auto base, (*writer)->begin());
  (*writer)->rollback();
  Statistics::add(statistics.recoveries, 1);
  return Recovered{std::move(*writer), base.version};
}

}  // namespace semper::sqlite
