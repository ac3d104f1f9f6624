#include "log_sync.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "connection.h"
#include "semper/base/internal/mutant.h"
#include "turn.h"

namespace semper::sqlite {
namespace {

using SteadyClock = std::chrono::steady_clock;

// One that is made without the flush, until it has said whether it failed.
class Beside {
 public:
  Beside(Sidecar& sidecar, bool is_so) : count_(sidecar.mine().flushes_beside), is_so_(is_so) {
    if (is_so_) count_.fetch_add(1);
  }
  ~Beside() {
    if (is_so_) count_.fetch_sub(1);
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

 private:
  std::atomic<std::uint32_t>& count_;
  const bool is_so_;
};

bool anybody_is_beside(Sidecar& sidecar) {
  bool anybody = false;
  sidecar.for_each(
      [&](const SidecarEntry& entry) { anybody = anybody || entry.flushes_beside.load() != 0; });
  return anybody;
}

void raise(std::atomic<std::uint64_t>& word, std::uint64_t to) {
  auto present = word.load();
  while (present < to && !word.compare_exchange_weak(present, to)) {
  }
}

}  // namespace

// The log, opened a second time through the same VFS, so that it can be flushed by one thread while
// another one writes. SQLite locks the store's file, never the log.
class LogSync::File {
 public:
  static Result<std::unique_ptr<File>> open(const SqliteOptions& options) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(options.vfs.empty() ? nullptr : options.vfs.c_str());
    if (vfs == nullptr) {
      return fail(ErrorKind::invalid_argument, "no SQLite VFS is named " + options.vfs);
    }
    std::unique_ptr<File> file(
        new File(options.path.wal(), static_cast<std::size_t>(vfs->szOsFile)));
    const int code = vfs->xOpen(vfs, file->name_.c_str(), file->handle(),
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, nullptr);
    if (code != SQLITE_OK) {
      const int number = errno;
      file->handle()->pMethods = nullptr;
      const Error error = Connection::error_of(code, options.path.file, "cannot open the log");
      return fail(Connection::with_cause(error, number));
    }
    return file;
  }
  ~File() {
    if (handle()->pMethods != nullptr) handle()->pMethods->xClose(handle());
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int sync() { return handle()->pMethods->xSync(handle(), SQLITE_SYNC_NORMAL); }

  // A log begins with its magic number. One that was cut short in place, and written to behind its
  // end, begins with a hole.
  bool begins_with_a_hole() {
    std::uint32_t magic = 1;
    const int code = handle()->pMethods->xRead(handle(), &magic, sizeof magic, 0);
    return code == SQLITE_OK && magic == 0;
  }

 private:
  // SQLite's names end in two zero bytes: parameters could follow.
  File(const std::string& path, std::size_t bytes)
      : name_(path + std::string(3, '\0')), memory_(bytes) {}
  sqlite3_file* handle() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }

  std::string name_;
  std::vector<char> memory_;
};

LogSync::LogSync(const SqliteOptions& options, Sidecar& sidecar, Statistics& statistics,
                 Clock& clock)
    : options_(&options),
      sidecar_(&sidecar),
      statistics_(&statistics),
      clock_(&clock),
      lock_(sidecar, sidecar.shared().flush) {}

LogSync::~LogSync() = default;

Result<std::unique_ptr<LogSync>> LogSync::open(const SqliteOptions& options, Sidecar& sidecar,
                                               Statistics& statistics, Clock& clock) {
  std::unique_ptr<LogSync> log(new LogSync(options, sidecar, statistics, clock));
  const auto patience = SteadyClock::now() + kOpenPatience;
  Taken taken = log->take();
  while (taken == Taken::no && SteadyClock::now() < patience) taken = log->take();
  Status prepared;
  {
    const Beside beside(sidecar, taken == Taken::no);
    prepared = log->prepare(taken);
  }
  if (taken != Taken::no) log->lock_.let_go(ProcessLock::Wake::all);
  if (!prepared) return fail(prepared.error());
  return log;
}

LogSync::Mark LogSync::written(Version version) {
  auto& shared = sidecar_->shared();
  raise(shared.version, version);
  return {version, shared.recoveries.load()};
}

// Since its read transaction began there was no recovery that found less: that needs the log for
// itself.
LogSync::Mark LogSync::seen(Version version) const {
  return {version, sidecar_->shared().recoveries.load()};
}

// First what is durable, then the recoveries: versions above what one has found are counted as
// durable only after it was counted itself.
LogSync::State LogSync::look(const Mark& mark) const {
  const auto& shared = sidecar_->shared();
  const bool covered = shared.durable.load() >= mark.version;
  const auto recoveries = shared.recoveries.load();
  if (recoveries == mark.recoveries) return covered ? State::durable : State::written;
  if (recoveries - mark.recoveries > kRecoveriesRemembered) return State::unknown;
  for (auto number = mark.recoveries + 1; number <= recoveries; ++number) {
    const Version found = shared.recovered[number % kRecoveriesRemembered].load();
    if (mark.version > found && !SEMPER_MUTANT("sqlite_lost_commit_acknowledged")) {
      return State::lost;
    }
  }
  return SEMPER_MUTANT("sqlite_found_commit_denied") ? State::lost : State::durable;
}

bool LogSync::has_failed() const {
  return sidecar_->shared().flush_failed.load() != 0;
}

Error LogSync::failure() const {
  std::lock_guard lock(mutex_);
  return Error(ErrorKind::io, "the commit failed: flushing the log: " +
                                  (failure_.empty() ? "in another process" : failure_));
}

bool LogSync::recovered(Version version) {
  auto& shared = sidecar_->shared();
  const auto number = shared.recoveries.load() + 1;
  {
    std::lock_guard lock(file_mutex_);
    file_.reset();
    auto file = File::open(*options_);
    const int code = file ? (*file)->sync() : SQLITE_CANTOPEN;
    if (code != SQLITE_OK) {
      failed(sqlite3_errstr(code));
      return false;
    }
    file_ = std::move(*file);
    opened_after_ = number;
  }
  shared.recovered[number % kRecoveriesRemembered].store(version);
  shared.recoveries.store(number);
  raise(shared.durable, version);
  shared.flush_failed.store(0);
  std::lock_guard lock(mutex_);
  failure_.clear();
  return true;
}

Version LogSync::found() const {
  const auto& shared = sidecar_->shared();
  return shared.recovered[shared.recoveries.load() % kRecoveriesRemembered].load();
}

LogSync::State LogSync::flush(const Mark& mark) {
  auto& shared = sidecar_->shared();
  auto patience = SteadyClock::now() + kFlushPatience;
  auto flushes = shared.flushes.load();
  while (true) {
    const State state = look(mark);
    if (state != State::written || has_failed()) return state;
    const Taken taken = take();
    if (flushes != shared.flushes.load()) {
      flushes = shared.flushes.load();
      patience = SteadyClock::now() + kFlushPatience;
    }
    if (taken == Taken::no && SteadyClock::now() < patience && !owner_is_stuck()) continue;
    stuck_.store(taken == Taken::no ? lock_.owner() : kTurnFree);
    // Another one may have flushed, or failed to, while this one waited.
    if (look(mark) == State::written && !has_failed()) {
      // Whatever is in the log by now: a version is told, and seen, after its pages were handed to
      // the kernel. One that was seen may have a committer that died before it told.
      const auto recoveries = shared.recoveries.load();
      flush_with(taken, {std::max(shared.version.load(), mark.version), recoveries});
    }
    if (taken != Taken::no) lock_.let_go(ProcessLock::Wake::all);
  }
}

// All who wait are woken, and look again: nobody has to be told that there are others.
ProcessLock::Taken LogSync::take() {
  if (lock_.try_take()) return Taken::yes;
  return owner_is_stuck() ? Taken::no : lock_.take_or_wait();
}

// One that has died since is waited for: that is how its death is found.
bool LogSync::owner_is_stuck() const {
  const auto owner = lock_.owner();
  const bool is_known = owner == stuck_.load() && owner != kTurnFree && owner != kTurnOfTheDead;
  if (SEMPER_MUTANT("sqlite_stopped_flush_waited_for_each_time")) return false;
  return is_known && !sidecar_->is_dead(owner - 1);
}

void LogSync::doubt() {
  const auto patience = SteadyClock::now() + kFlushPatience;
  Taken taken = take();
  while (taken == Taken::no && SteadyClock::now() < patience) taken = take();
  flush_with(taken, {});
  if (taken != Taken::no) lock_.let_go(ProcessLock::Wake::all);
}

void LogSync::flush_with(Taken how, const Mark& covered) {
  const Beside beside(*sidecar_, how == Taken::no);
  if (const Status prepared = prepare(how); !prepared) failed(prepared.error().message());
  if (!has_failed()) sync(covered);
}

// Errors of what was flushed before are not reported to a descriptor that is opened now: who had
// one may have died, or may be about to say so. docs/model.md
Status LogSync::prepare(Taken how) {
  std::lock_guard lock(file_mutex_);
  const auto recoveries = sidecar_->shared().recoveries.load();
  if (file_ && opened_after_ == recoveries) return {};
  if (how == Taken::after_a_death && !SEMPER_MUTANT("sqlite_flush_of_the_dead_believed")) {
    failed("a process was killed while it did so");
  }
  file_.reset();
  auto file = File::open(*options_);
  if (!file) return fail(file.error());
  file_ = std::move(*file);
  opened_after_ = recoveries;
  sidecar_->reap_dead_entries();
  if (anybody_is_beside(*sidecar_) && !SEMPER_MUTANT("sqlite_flush_beside_believed")) {
    failed("the log was opened while a process flushed it that nobody waits for");
  }
  return {};
}

void LogSync::sync(const Mark& covered) {
  std::lock_guard lock(file_mutex_);
  if (!file_) return failed("the log is not open");
  sidecar_->shared().flushes.fetch_add(1);
  const auto started = clock_->now();
  int code = SEMPER_MUTANT("sqlite_commits_unflushed") ? SQLITE_OK : file_->sync();
  if (SEMPER_MUTANT("sqlite_failed_flush_retried") && code != SQLITE_OK) code = file_->sync();
  if (SEMPER_MUTANT("sqlite_failed_flush_ignored")) code = SQLITE_OK;
  if (code == SQLITE_OK && file_->begins_with_a_hole()) {
    file_.reset();
    return failed("the log was cut short while the store was open");
  }
  const auto took = clock_->now() - started;
  Statistics::add(statistics_->flush_time_us,
                  std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  Statistics::add(statistics_->flushes, 1);
  if (code == SQLITE_OK) {
    // What a recovery found meanwhile may be less, and it has said so.
    if (opened_after_ == covered.recoveries) raise(sidecar_->shared().durable, covered.version);
    return;
  }
  file_.reset();
  failed(sqlite3_errstr(code));
}

void LogSync::failed(const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    failure_ = why;
  }
  if (SEMPER_MUTANT("sqlite_failed_flush_untold")) return;
  sidecar_->shared().flush_failed.store(1);
}

}  // namespace semper::sqlite
