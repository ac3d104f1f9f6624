// LogSync: makes what was committed durable, outside the turn, one flush for all processes.
//
// A commit is written into the log within its turn (turn.h), and may be built upon at once. It is
// acknowledged when a flush that began after it has ended. Whoever needs one takes the flush, which
// is a word of the sidecar, and flushes for everything that is written by then, whichever process
// wrote it; who comes meanwhile waits, and mostly finds its own commit covered. The idea is early
// lock release (DeWitt 1984; Johnson et al., "Aether", VLDB 2010).
//
// What is built upon a commit cannot outlive it: the log's checksums are a chain, so that what a
// power cut leaves of it is a prefix.
//
// A flush that failed is not tried again. It is noted in the sidecar before the flush is let go;
// from then on nothing is called durable, in any process, until one has found out, with the turn
// held, what is there (recovery.h), and has written that anew.
//
// A process that dies while it flushes says nothing. But the kernel reports an error to every
// descriptor that was open when it came, so that the others hear of it in their own flush: each
// opens the log, here and after each recovery, while nobody flushes. Who finds that the last one
// who flushed died before that counts it as a flush that failed. One that does not get on, because
// its process is stopped, is not waited for: the word saves flushes, and keeps nobody from making
// one. An owner that was not waited for once is not waited for again while it stays the owner. Who
// opens the log while somebody flushes it so cannot know what that one hears: it counts as a flush
// that failed.
//
// Threads: any.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "options.h"
#include "process_lock.h"
#include "semper/store/backend.h"
#include "sidecar.h"
#include "statistics.h"

namespace semper::sqlite {

// After this it is not waited for who flushes.
inline constexpr auto kFlushPatience = std::chrono::milliseconds(50);
// The same for a handle that is being opened, which costs a recovery then.
inline constexpr auto kOpenPatience = std::chrono::seconds(1);

class LogSync {
 public:
  // Borrows all of them. Errors: io, exhausted.
  static Result<std::unique_ptr<LogSync>> open(const SqliteOptions& options, Sidecar& sidecar,
                                               Statistics& statistics, Clock& clock);
  ~LogSync();
  LogSync(const LogSync&) = delete;
  LogSync& operator=(const LogSync&) = delete;

  // A version that is in the log, and what it was written or seen in.
  struct Mark {
    Version version = 0;
    std::uint64_t recoveries = 0;
  };
  // Within the turn: all commits up to this version are in the log.
  Mark written(Version version);
  // A read transaction sees this version.
  Mark seen(Version version) const;

  enum class State : std::uint8_t {
    written,  // not durable yet; after flush(): a flush failed, to be found out by recovery
    durable,
    lost,     // recovery did not find it: nothing of it was applied
    unknown,  // too many recoveries ago
  };
  State look(const Mark& mark) const;

  // Makes it durable, with everything before it. Blocks. `written`: failure() says why not.
  State flush(const Mark& mark);
  // After an error of somebody else's flush, such as a checkpoint's: flushes once, to hear of it.
  void doubt();

  // Of the last flush of this handle that failed, or another's.
  Error failure() const;

  bool has_failed() const;
  // Within the turn: what the store holds, up to this version, was written and flushed anew. False:
  // a new descriptor cannot be flushed either.
  bool recovered(Version version);
  // By the last recovery.
  Version found() const;

 private:
  class File;

  LogSync(const SqliteOptions& options, Sidecar& sidecar, Statistics& statistics, Clock& clock);
  using Taken = ProcessLock::Taken;
  Taken take();
  bool owner_is_stuck() const;
  // With the flush, or where its owner does not get on.
  void flush_with(Taken how, const Mark& covered);
  // Error: the log cannot be opened, for example because the process has too many files open.
  Status prepare(Taken how);
  void sync(const Mark& covered);
  void failed(const std::string& why);

  const SqliteOptions* options_;
  Sidecar* sidecar_;
  Statistics* statistics_;
  Clock* clock_;
  ProcessLock lock_;  // who flushes
  // The owner that was not waited for.
  std::atomic<std::uint32_t> stuck_ = kTurnFree;
  std::mutex file_mutex_;
  std::unique_ptr<File> file_;
  std::uint64_t opened_after_ = 0;  // so many recoveries
  mutable std::mutex mutex_;
  std::string failure_;
};

}  // namespace semper::sqlite
