#include "backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <string_view>
#include <utility>

#include "checker.h"
#include "connection.h"
#include "place.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/internal/shared_file.h"
#include "semper/env/internal/standard_streams.h"
#include "semper/env/one_shot.h"
#include "semper/env/standard_streams.h"
#include "start_thread.h"
#include "store_file.h"

namespace semper::sqlite {
namespace {

constexpr const char* kPartSuffix = "-semper-part";
// Of SQLite's, while the copy is being checked.
constexpr int kInstructionsBetweenLooks = 100'000;

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Error cannot_make(const std::string& to, int reason) {
  const Error error = error_from_errno(reason, "cannot make the backup " + to);
  const std::string folder = folder_of(to);
  switch (reason) {
    case ENOENT:
      return Error(error.kind(), "the folder " + folder +
                                     " of the backup does not exist; make it "
                                     "first: mkdir -p " +
                                     folder);
    case EACCES:
    case EROFS:
      return Error(error.kind(), error.message() + ": nothing can be written in the folder " +
                                     folder + "; give another one, or the right to");
    case ENOSPC:
    case EDQUOT:
      return Error(error.kind(),
                   error.message() + ": make room in " + folder + ", or give another folder");
    default:
      return error;
  }
}

// The unfinished copy, held by a lock as long as somebody works on it.
class Part {
 public:
  static Result<std::unique_ptr<Part>> make(const std::string& to, const std::string& store) {
    if (to.empty() || to.ends_with('/')) {
      return fail(ErrorKind::invalid_argument,
                  "the backup needs the name of a file; give one, not " +
                      (to.empty() ? "an empty text" : "the folder " + to));
    }
    struct stat target {};
    if (::lstat(to.c_str(), &target) == 0) {
      return fail(ErrorKind::already_exists,
                  to + " is there already, and was left as it is; give another name, or remove it");
    }
    for (const char* suffix : {"-wal", "-journal"}) {
      if (::lstat((to + suffix).c_str(), &target) != 0 || target.st_size == 0) continue;
      return fail(ErrorKind::already_exists,
                  to + suffix +
                      " is there, and would be taken for the log of the backup; give "
                      "another name, or remove it");
    }
    std::unique_ptr<Part> part(new Part(to + kPartSuffix));
    part->descriptor_ = semper::internal::above_standard_streams(
        ::open(part->path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (part->descriptor_ < 0) {
      return fail(cannot_make(to, errno));
    }
    // Another one may just have finished, and given what we opened its name.
    if (::flock(part->descriptor_, LOCK_EX | LOCK_NB) != 0 || !part->is_in_place()) {
      part->is_ours_ = false;
      return fail(ErrorKind::conflict,
                  "another process makes the backup " + to + "; wait for it, or give another name");
    }
    struct stat source {};
    if (::stat(store.c_str(), &source) == 0) {
      semper::internal::give_like(part->descriptor_, source);
    }
    part->remove_companions();
    if (::ftruncate(part->descriptor_, 0) != 0) {
      return fail(error_from_errno(errno, "cannot empty " + part->path_));
    }
    return part;
  }

  ~Part() {
    if (descriptor_ < 0) return;
    if (is_ours_) {
      remove_companions();
      ::unlink(path_.c_str());
    }
    ::close(descriptor_);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }

  // On disk first, then under its name, which must be free; the name on disk too. Error: there is
  // nothing of that name.
  Status finish(const std::string& to) {
    if (::fsync(descriptor_) != 0) return fail(error_from_errno(errno, "cannot sync " + path_));
    // Not one that is short then, or forbidden.
    const int folder = ::open(folder_of(to).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return fail(error_from_errno(errno, "cannot open the folder of " + to));
    Status done = give_name(to);
    // Some file systems have nothing to sync in a folder, and say so.
    if (done && ::fsync(folder) != 0 && errno != EINVAL) {
      done = fail(error_from_errno(errno, "cannot sync the folder of " + to));
      ::unlink(to.c_str());
    }
    ::close(folder);
    return done;
  }

 private:
  explicit Part(std::string path) : path_(std::move(path)) {}

  // Not every file system can rename only where the name is free, and not every one has links.
  Status give_name(const std::string& to) const {
    int moved = ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
    const bool knows_no_such = moved != 0 && (errno == EINVAL || errno == ENOSYS);
    if (knows_no_such) moved = ::link(path_.c_str(), to.c_str());
    if (knows_no_such && moved != 0 && errno != EEXIST) {
      struct stat there {};
      const bool is_free = ::lstat(to.c_str(), &there) != 0;
      moved = is_free ? ::rename(path_.c_str(), to.c_str()) : -1;
      if (!is_free) errno = EEXIST;
    }
    if (moved == 0) return {};
    return fail(error_from_errno(errno, "cannot give the backup its name " + to));
  }

  bool is_in_place() const {
    struct stat open_file {};
    struct stat named {};
    return ::fstat(descriptor_, &open_file) == 0 && ::stat(path_.c_str(), &named) == 0 &&
           open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
  }

  void remove_companions() {
    for (const char* suffix : {"-wal", "-shm", "-journal"}) ::unlink((path_ + suffix).c_str());
  }

  std::string path_;
  int descriptor_ = -1;
  bool is_ours_ = true;
};

std::string ended_by(std::string_view thrown) {
  return "the backup was ended by its BackupOptions::on_progress, which threw: " +
         to_printable(thrown) + "; nothing is left of it";
}

struct EndBackup {
  void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
};

Result<Connection> open_copy(const std::string& path) {
  ConnectionOptions how;
  how.path = path;
  how.create = ConnectionOptions::Create::yes;
  SEMPER_TRY(Connection copy, Connection::open(how));
  // What is half-way there when we die is thrown away.
  SEMPER_TRY_STATUS(copy.execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF"));
  return copy;
}

}  // namespace

struct Backups::Job {
  Job(std::string name, BackupOptions how) : to(std::move(name)), options(std::move(how)) {}

  const std::string to;
  const BackupOptions options;
  std::atomic<bool> abandoned = false;

  void finish() {
    std::lock_guard lock(mutex);
    over = true;
    ended.notify_all();
  }
  // Returns when nothing of it runs any more: within one step.
  void abandon() {
    abandoned.store(true);
    std::unique_lock lock(mutex);
    ended.wait(lock, [this] { return over; });
  }

  // Error: the caller's function threw.
  Status report(BackupProgress::Step step, std::uint64_t done, std::uint64_t total) const {
    if (!options.on_progress) return {};
    try {
      options.on_progress({step, done, total});
      return {};
    } catch (const std::exception& thrown) {
      return fail(ErrorKind::cancelled, ended_by(thrown.what()));
    } catch (...) {
      return fail(ErrorKind::cancelled, ended_by("something that is no std::exception"));
    }
  }

 private:
  std::mutex mutex;
  std::condition_variable ended;
  bool over = false;
};

Backups::~Backups() {
  suspend();
}

Async<BackupReport> Backups::backup(std::string to, BackupOptions options) {
  // What the caller handed in is not used after its coroutine has ended, however it ends.
  struct EndWithCaller {
    explicit EndWithCaller(std::shared_ptr<Job> of) : job(std::move(of)) {}
    ~EndWithCaller() { job->abandon(); }
    std::shared_ptr<Job> job;
  };
  OneShot<Result<BackupReport>> done;
  auto job = std::make_shared<Job>(std::move(to), std::move(options));
  {
    std::lock_guard lock(mutex_);
    if (suspended_ || running_.load()) {
      co_return fail(ErrorKind::retry, suspended_
                                           ? "the store is being closed or opened again"
                                           : "this handle makes a backup already; wait for it");
    }
    if (thread_.joinable()) thread_.join();
    running_.store(true);
    interrupted_.store(false);
    const Status started = start_thread(thread_, "semper-backup", [this, job, done]() mutable {
      auto result = run(*job);
      running_.store(false);
      job->finish();
      done.set(std::move(result));
    });
    if (!started) {
      running_.store(false);
      co_return fail(started.error());
    }
  }
  const EndWithCaller guard(job);
  SEMPER_CO_TRY(auto result, co_await done.wait());
  co_return result;
}

Status Backups::ended(const Job& job) const {
  if (job.options.stop.stop_requested() || job.abandoned.load()) {
    return fail(ErrorKind::cancelled, "the backup was ended; nothing is left of it");
  }
  if (!interrupted_.load()) return {};
  return fail(ErrorKind::retry,
              "the backup was ended because the store is closed or opened again; make it anew");
}

Result<BackupReport> Backups::run(const Job& job) {
  SEMPER_TRY(auto part, Part::make(job.to, options_->path.file));
  SEMPER_TRY(BackupReport report, copy(job, part->path()));
  SEMPER_TRY_STATUS(ended(job));
  if (!SEMPER_MUTANT("sqlite_backup_takes_any_log")) {
    SEMPER_TRY_STATUS(mark_without_log(part->descriptor()));
  }
  SEMPER_TRY_STATUS(job.report(BackupProgress::Step::verify, 0, report.bytes));
  auto checked = verify(job, part->path());
  SEMPER_TRY_STATUS(ended(job));
  if (!checked) {
    return fail(checked.error().in("what was copied of " + options_->path.file +
                                   " does not pass the check, and was not kept"));
  }
  report.checked = std::move(*checked);
  SEMPER_TRY_STATUS(part->finish(job.to));
  return report;
}

Result<BackupReport> Backups::copy(const Job& job, const std::string& part) {
  SEMPER_TRY_STATUS(check_place(*options_));
  ConnectionOptions how;
  how.path = options_->path.file;
  how.vfs = options_->vfs;
  SEMPER_TRY(Connection from, Connection::open(how));
  SEMPER_TRY_STATUS(check_place(*options_));
  const LongRead marked(*sidecar_);
  SEMPER_TRY_STATUS(from.execute("BEGIN"));
  BackupReport report;
  {
    SEMPER_TRY(Statement version, from.prepare("SELECT version FROM meta WHERE id = 1"));
    const int code = version.step();
    if (code != SQLITE_ROW) return fail(from.error(code, "cannot read the version"));
    report.version = static_cast<Version>(version.column_number(0));
    sidecar_->saw(report.version);
  }
  // A copy must not hold what a power cut takes from the store.
  if (log_->flush(log_->seen(report.version)) != LogSync::State::durable) {
    return fail(log_->failure());
  }
  SEMPER_TRY(Connection to, open_copy(part));
  SEMPER_TRY_STATUS(copy_pages(job, from.handle(), to.handle(), options_->page_size));
  struct stat status {};
  if (::stat(part.c_str(), &status) == 0) report.bytes = static_cast<std::uint64_t>(status.st_size);
  return report;
}

Status Backups::copy_pages(const Job& job, sqlite3* from, sqlite3* to, std::uint64_t page_bytes) {
  const std::unique_ptr<sqlite3_backup, EndBackup> copying(
      sqlite3_backup_init(to, "main", from, "main"));
  const auto pages = static_cast<int>(std::max<std::uint64_t>(1, kBackupStepBytes / page_bytes));
  int code = copying ? SQLITE_OK : sqlite3_errcode(to);
  while (code == SQLITE_OK) {
    SEMPER_TRY_STATUS(ended(job));
    code = sqlite3_backup_step(copying.get(), pages);
    const auto total = static_cast<std::uint64_t>(sqlite3_backup_pagecount(copying.get()));
    const auto left = static_cast<std::uint64_t>(sqlite3_backup_remaining(copying.get()));
    SEMPER_TRY_STATUS(
        job.report(BackupProgress::Step::copy, (total - left) * page_bytes, total * page_bytes));
  }
  if (code == SQLITE_DONE) return {};
  const Error error = Connection::error_of(code, job.to, "cannot copy a page into the backup");
  return fail(error);
}

// Reads it as a stranger would that has nothing but this file.
Result<std::string> Backups::verify(const Job& job, const std::string& part) {
  ConnectionOptions how;
  how.path = part;
  how.access = ConnectionOptions::Access::immutable;
  SEMPER_TRY(Connection copy, Connection::open(how));
  const auto stops = [this, &job] { return !ended(job).has_value(); };
  sqlite3_progress_handler(
      copy.handle(), kInstructionsBetweenLooks,
      [](void* look) { return (*static_cast<decltype(stops)*>(look))() ? 1 : 0; },
      const_cast<void*>(static_cast<const void*>(&stops)));
  auto checked = check_file(copy);
  sqlite3_progress_handler(copy.handle(), 0, nullptr, nullptr);
  return checked;
}

void Backups::suspend() {
  std::lock_guard lock(mutex_);
  suspended_ = true;
  interrupted_.store(true);
  if (thread_.joinable()) thread_.join();
}

void Backups::resume() {
  std::lock_guard lock(mutex_);
  suspended_ = false;
}

}  // namespace semper::sqlite
