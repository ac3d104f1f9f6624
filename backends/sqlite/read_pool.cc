#include "read_pool.h"

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/fork.h"

namespace semper::sqlite {

ReadPool::~ReadPool() {
  std::lock_guard lock(mutex_);
  for (const auto& view : views_) {
    SEMPER_ASSERT(!view->busy_, "a pool outlives the threads that use it");
  }
}

void ReadPool::check() const {
  SEMPER_ASSERT(views_.size() <= context_.options->readers, "connections have a bound");
  SEMPER_ASSERT(waiters_.size() <= kSnapshotWaitersMaximum, "and so have those that wait");
  for (const auto& view : views_) {
    SEMPER_ASSERT(!view->busy_ || view->users_ == 0, "nobody reads a view that is being opened");
  }
}

class ReadPool::Waiter {
 public:
  explicit Waiter(ReadPool& pool) : pool_(&pool) {}
  // What it was offered and has not used is offered to the next one.
  ~Waiter() {
    if (fork_.is_foreign() || released_.set({}) || has_used_) return;
    std::lock_guard lock(pool_->mutex_);
    pool_->wake_waiters(1);
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  const OneShot<std::monostate>& released() const { return released_; }
  Async<void> wait(MonotonicTime deadline) {
    auto waited = co_await released_.wait_until(*pool_->context_.env.clock, deadline);
    has_used_ = waited.has_value();
    if (!waited) co_return fail(waited.error());
    co_return Status{};
  }

 private:
  ReadPool* const pool_;
  const ForkGuard fork_{};
  OneShot<std::monostate> released_;
  bool has_used_ = false;
};

Async<std::shared_ptr<ReadView>> ReadPool::acquire() {
  Statistics::add(context_.statistics->snapshots, 1);
  std::optional<MonotonicTime> deadline;
  while (true) {
    auto view = try_acquire();
    if (!view || *view) co_return view;
    if (!deadline) deadline = context_.env.clock->after(context_.lifetime);
    Waiter waiter(*this);
    {
      std::lock_guard lock(mutex_);
      if (waiters_.size() >= kSnapshotWaitersMaximum) {
        co_return fail(ErrorKind::retry, Limit{"kSnapshotWaitersMaximum", kSnapshotWaitersMaximum},
                       std::to_string(kSnapshotWaitersMaximum) +
                           " transactions wait for a read connection already; try again later, or "
                           "raise ?readers=");
      }
      waiters_.push_back(waiter.released());
      check();
    }
    // Something may have been released just before.
    view = try_acquire();
    if (!view || *view) co_return view;
    const Status waited = co_await waiter.wait(*deadline);
    if (waited) continue;
    if (waited.error().kind() != ErrorKind::timeout) co_return fail(waited.error());
    co_return fail(ErrorKind::retry, Limit{"readers", context_.options->readers},
                   "all " + std::to_string(context_.options->readers) +
                       " read connections stayed in use by longer transactions; try again later, "
                       "or raise ?readers=");
  }
}

Result<ReadPool::ViewPtr> ReadPool::try_acquire() {
  ViewPtr view;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return fail(*stopped_);
    if (suspended_) return ViewPtr();
    view = choose(SEMPER_MUTANT("sqlite_reads_go_back_in_time")
                      ? context_.sidecar->shared().durable.load()
                      : context_.sidecar->newest());
    check();
    if (!view) return ViewPtr();
    if (!view->busy_) {
      Statistics::add(context_.statistics->snapshots_shared, 1);
      ++view->users_;
      view->last_use_ = context_.env.clock->now();
      // There may be others that this view could serve too.
      wake_waiters(1);
      return view;
    }
  }
  return open_view(std::move(view));
}

// An open view of the wanted version, or one that the caller must open (then it is busy), or null.
ReadPool::ViewPtr ReadPool::choose(Version wanted) {
  ViewPtr shared;
  ViewPtr free;
  std::size_t current = 0;
  std::size_t unused = context_.options->readers - views_.size();
  for (const auto& view : views_) {
    if (view->busy_) continue;
    const bool is_current = view->open_ && view->version_ >= wanted && !is_in_the_way(*view);
    if (is_current && view->users_ == 0) return view;
    if (view->users_ == 0) {
      ++unused;
      free = view;
    } else if (is_current) {
      ++current;
      if (!shared || view->users_ < shared->users_) shared = view;
    }
  }
  const bool scarce = unused <= context_.options->readers / 2;
  // Who comes while a view waits for its flush waits with it, and not for the next one.
  const bool waits = shared && shared->version_ > context_.sidecar->shared().durable.load();
  if (shared && (waits || scarce || current >= kParallelViews)) return shared;
  if (!free && views_.size() < context_.options->readers) {
    free = std::make_shared<ReadView>(nullptr);
    views_.push_back(free);
  }
  if (!free) return shared;
  free->busy_ = true;
  free->wal_wanted_ = context_.sidecar->shared().wal_wanted.load();
  return free;
}

bool ReadPool::is_in_the_way(const ReadView& view) const {
  return view.wal_wanted_ != context_.sidecar->shared().wal_wanted.load() &&
         !SEMPER_MUTANT("sqlite_view_kept_open_by_turns");
}

Result<ReadPool::ViewPtr> ReadPool::open_view(ViewPtr view) {
  Result<Version> version = Version{0};
  {
    std::lock_guard lock(view->mutex_);
    if (!view->reader_) {
      auto reader = Reader::open(*context_.options);
      if (reader) {
        view->reader_ = std::move(*reader);
      } else {
        version = fail(reader.error());
      }
    }
    if (version) version = view->reader_->begin();
  }
  if (version) context_.sidecar->saw(*version);
  {
    std::lock_guard lock(mutex_);
    view->busy_ = false;
    view->open_ = version.has_value();
    view->version_ = version.value_or(0);
    view->users_ = version ? 1 : 0;
    view->last_use_ = context_.env.clock->now();
    wake_waiters(1);
    check();
  }
  not_busy_.notify_all();
  if (!version) return fail(version.error());
  context_.on_opened();
  return view;
}

void ReadPool::leave(const ViewPtr& view) {
  std::lock_guard lock(mutex_);
  SEMPER_ASSERT(view->users_ > 0, "nobody leaves a view that nobody uses");
  if (--view->users_ > 0) return;
  view->last_use_ = context_.env.clock->now();
  if (is_in_the_way(*view)) end(*view);
  wake_waiters(1);
}

// With nobody who uses it.
void ReadPool::end(ReadView& view) {
  std::lock_guard reading(view.mutex_);
  if (view.reader_ && view.reader_->is_open()) {
    view.reader_->end();
    view.reader_->shrink();
  }
  view.open_ = false;
}

void ReadPool::wake_waiters(std::size_t count) {
  while (count > 0 && !waiters_.empty()) {
    // Whoever gave up in the meantime has set it already.
    if (waiters_.front().set({})) --count;
    waiters_.pop_front();
  }
}

bool ReadPool::tidy(const TidyRules& rules) {
  std::lock_guard lock(mutex_);
  const MonotonicTime now = context_.env.clock->now();
  bool any_open = false;
  for (auto& view : views_) {
    if (view->busy_) {
      any_open = true;
      continue;
    }
    if (view->users_ == 0 && now - view->last_use_ >= rules.idle) {
      end(*view);
      continue;
    }
    if (view->users_ > 0 && now - view->last_use_ >= rules.lifetime) {
      Statistics::add(context_.statistics->snapshots_revoked, 1);
      take_away(view, Error(ErrorKind::timeout,
                            "the transaction's snapshot is too old (the limit is "
                            "transaction_duration, less where the store needs its log back); "
                            "begin anew"));
      wake_waiters(1);
      continue;
    }
    any_open = true;
  }
  return any_open;
}

// The snapshots keep the old view, which has no reader any more; the pool goes on with a new one.
void ReadPool::take_away(ViewPtr& view, const Error& reason) {
  std::unique_ptr<Reader> reader;
  {
    std::lock_guard reading(view->mutex_);
    reader = std::move(view->reader_);
    view->taken_away_ = reason;
  }
  if (reader && reader->is_open()) reader->end();
  view = std::make_shared<ReadView>(std::move(reader));
}

void ReadPool::suspend(const Error& reason) {
  std::unique_lock lock(mutex_);
  suspended_ = true;
  not_busy_.wait(lock, [this] {
    for (const auto& view : views_) {
      if (view->busy_) return false;
    }
    return true;
  });
  for (auto& view : views_) take_away(view, reason);
  views_.clear();
}

void ReadPool::resume() {
  std::lock_guard lock(mutex_);
  suspended_ = false;
  wake_waiters(waiters_.size());
}

void ReadPool::stop(const Error& reason) {
  suspend(reason);
  std::lock_guard lock(mutex_);
  stopped_ = reason;
  wake_waiters(waiters_.size());
}

std::size_t ReadPool::views_in_use() const {
  std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& view : views_) count += view->users_ > 0 ? 1 : 0;
  return count;
}

}  // namespace semper::sqlite
