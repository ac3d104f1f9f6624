#include "checkpointer.h"

#include <utility>

#include "log_readers.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "start_thread.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kCacheKib = 256;

}  // namespace

Checkpointer::Checkpointer(Context context)
    : context_(std::move(context)), seen_pressed_(context_.sidecar->shared().wal_pressed.load()) {}

Checkpointer::~Checkpointer() {
  SEMPER_ASSERT(!thread_.joinable(), "a checkpointer is stopped before it goes");
}

Status Checkpointer::start() {
  return start_thread(thread_, "semper-wal", [this] { run(); });
}

void Checkpointer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  suspend();
}

void Checkpointer::on_activity() {
  if (!asleep_.load()) return;
  std::lock_guard lock(mutex_);
  wanted_ = true;
  wake_.notify_all();
}

void Checkpointer::on_commit(std::int64_t wal_bytes) {
  wal_bytes_.store(wal_bytes);
  // Another process may have started it again.
  if (wal_bytes < kWalSoftBytes) return on_restart();
  if (wal_bytes < next_request_.load() || nearly_done_.load() || requested_.exchange(true)) return;
  std::lock_guard lock(mutex_);
  wanted_ = true;
  wake_.notify_all();
}

void Checkpointer::on_restart() {
  if (nearly_done_.load()) nearly_done_.store(false);
  next_request_.store(kWalSoftBytes);
}

void Checkpointer::suspend() {
  std::lock_guard lock(connection_mutex_);
  suspended_ = true;
  connection_.reset();
}

void Checkpointer::resume() {
  std::lock_guard lock(connection_mutex_);
  suspended_ = false;
}

void Checkpointer::run() {
  std::unique_lock lock(mutex_);
  bool anything_open = true;
  while (!stopping_) {
    if (!wanted_) {
      if (anything_open) {
        wake_.wait_for(lock, kTidyPeriod);
      } else {
        // Said first, then looked at once more: whoever opens a view in between sees it.
        asleep_.store(true);
        lock.unlock();
        anything_open = tidy();
        lock.lock();
        if (!anything_open) wake_.wait(lock, [this] { return stopping_ || wanted_; });
        asleep_.store(false);
      }
    }
    wanted_ = false;
    if (stopping_) return;
    lock.unlock();
    context_.on_tick();
    if (requested_.load()) checkpoint();
    anything_open = tidy();
    lock.lock();
  }
}

// True where views are open: it is to be called again after kTidyPeriod.
bool Checkpointer::tidy() {
  const auto pressed = context_.sidecar->shared().wal_pressed.load();
  const bool is_pressed = std::exchange(seen_pressed_, pressed) != pressed &&
                          !SEMPER_MUTANT("sqlite_snapshots_of_others_stay");
  return context_.pool->tidy(
      {kIdleView, is_pressed ? kPressedSnapshotAge : context_.snapshot_lifetime});
}

void Checkpointer::checkpoint() {
  {
    std::lock_guard lock(connection_mutex_);
    // What is not known to be in the log must not be copied out of it.
    // Nor what is not in it: somebody may have cut it short.
    const bool is_whole = size_of_log(*context_.options) >= wal_bytes_.load();
    if (!suspended_ && is_whole && !context_.log->has_failed()) {
      if (!connection_) {
        ConnectionOptions how;
        how.path = context_.options->path.file;
        how.vfs = context_.options->vfs;
        how.cache_kib = kCacheKib;
        auto opened = Connection::open(how);
        if (opened) connection_.emplace(std::move(*opened));
      }
      int frames = 0;
      int copied = 0;
      int code = SQLITE_ERROR;
      if (connection_) {
        code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                         &frames, &copied);
      }
      if ((code & 0xff) == SQLITE_IOERR) context_.log->doubt();
      if (code == SQLITE_OK) {
        Statistics::add(context_.statistics->checkpoints, 1);
        const auto left = static_cast<std::int64_t>(frames - copied) *
                          static_cast<std::int64_t>(context_.options->page_size);
        nearly_done_.store(left <= kWalRemainderBytes);
      }
    }
  }
  next_request_.store(wal_bytes_.load() + kWalRemainderBytes);
  requested_.store(false);
}

}  // namespace semper::sqlite
