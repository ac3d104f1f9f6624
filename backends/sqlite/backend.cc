#include "backend.h"

#include "log_chain.h"
#include "log_readers.h"
#include "read_only.h"
#include "rights.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "snapshot.h"
#include "sqlite.h"
#include "start_thread.h"
#include "store_file.h"
#include "written_keys.h"

namespace semper::sqlite {
namespace {

// Half of what SQLite's integers hold: nothing reaches it by counting.
constexpr Version kVersionMaximum = Version{1} << 62;

Error closed_error() {
  return Error(ErrorKind::closed, "the store was closed");
}

// Explicit write conflicts that a crash left behind: nobody's snapshot is that old any more.
Status forget_old_conflicts(Writer& writer) {
  SEMPER_TRY(const auto base, writer.begin());
  if (!writer.has_write_conflicts()) {
    writer.rollback();
    return {};
  }
  SEMPER_TRY_STATUS(writer.forget_write_conflicts(base.version));
  if (const int code = writer.commit(base.version, Writer::Flush::now); code != SQLITE_OK) {
    return fail(writer.connection().error(code, "cannot tidy up the store"));
  }
  return {};
}

// What is there; an error also where that is nothing, and is to stay so.
Result<FileState> find_store(const SqliteOptions& options) {
  SEMPER_TRY(const FileState state, examine_file(options));
  if (state == FileState::store) return state;
  if (options.access != SqliteOptions::Access::make) return fail(no_store(options, state));
  SEMPER_TRY_STATUS(refuse_names_of_others(options.path.file));
  return state;
}

}  // namespace

Result<std::shared_ptr<Backend>> SqliteBackend::open(SqliteOptions options, Env env) {
  prepare_process();
  SEMPER_TRY_STATUS(refuse_network(options));
  // Before anything is made beside it; again with the lock held.
  SEMPER_TRY_STATUS(find_store(options));
  SEMPER_TRY_STATUS(check_may_write(options.path));
  auto parts = std::make_unique<Parts>();
  parts->options = std::move(options);
  parts->env = env;
  const auto prepare = [&]() -> Result<std::uint64_t> {
    SEMPER_TRY(const FileState state, find_store(parts->options));
    if (state != FileState::store) SEMPER_TRY_STATUS(create_file(parts->options));
    SEMPER_TRY_STATUS(check_log_is_its_own(parts->options));
    SEMPER_TRY_STATUS(put_right(parts->options));
    SEMPER_TRY(auto writer, Writer::open(parts->options, parts->statistics));
    SEMPER_TRY_STATUS(forget_old_conflicts(*writer));
    // A log that a crash left may be in the kernel's memory alone, and is about to be read.
    SEMPER_TRY(const auto base, writer->begin());
    Status rewritten = rewrite_log(parts->options.path);
    if (rewritten) rewritten = check_log(parts->options.path);
    writer->rollback();
    SEMPER_TRY_STATUS(rewritten);
    return base.version;
  };
  SEMPER_TRY(parts->sidecar, Sidecar::open(parts->options.path, prepare));
  SEMPER_TRY_STATUS(examine_file(parts->options));
  SEMPER_TRY(auto writer, Writer::open(parts->options, parts->statistics));
  parts->options.page_size = writer->page_bytes();
  auto place = Place::remember(parts->options);
  if (!place) {
    writer->leave_wal_on_close();
    return fail(place.error());
  }
  if (!parts->sidecar->is_in_place()) {
    return fail(ErrorKind::retry,
                parts->options.path.sidecar() + " was replaced just now; open the store again");
  }
  parts->options.place = std::move(*place);
  auto log = LogSync::open(parts->options, *parts->sidecar, parts->statistics, *env.clock);
  if (!log) {
    writer->leave_wal_on_close();
    return fail(log.error());
  }
  parts->log = std::move(*log);
  parts->assemble(std::move(writer));
  if (const Status started = parts->start(); !started) {
    parts->shut_down();
    return fail(started.error());
  }
  return std::shared_ptr<Backend>(new SqliteBackend(std::move(parts)));
}

void SqliteBackend::Parts::assemble(std::unique_ptr<Writer> writer) {
  const Duration lifetime = kStoreLimits.transaction_duration;
  pool = std::make_shared<ReadPool>(ReadPool::Context{&options, sidecar.get(), &statistics, env,
                                                      lifetime,
                                                      [this] { checkpointer->on_activity(); }});
  WatchHub::Context watching{&options, sidecar.get(), &statistics, env.clock, {}, {}};
  watching.on_wal_wanted = [this] {
    pool->tidy({Duration::zero(), kStoreLimits.transaction_duration});
  };
  watching.on_look = [this] { static_cast<void>(check_place()); };
  hub = std::make_shared<WatchHub>(std::move(watching));
  checkpointer = std::make_unique<Checkpointer>(
      Checkpointer::Context{&options, &statistics, pool.get(), log.get(), sidecar.get(), lifetime,
                            [this] { static_cast<void>(check_place()); }});
  checker = std::make_unique<Checker>(options, *sidecar);
  backups = std::make_unique<Backups>(options, *sidecar, *log);
  flushes = std::make_unique<FlushQueue>(*log, [this] { committer->find_out(); });
  Committer::Context context;
  context.options = &options;
  context.sidecar = sidecar.get();
  context.statistics = &statistics;
  context.clock = env.clock;
  context.snapshot_lifetime = lifetime;
  context.hub = hub.get();
  context.pool = pool.get();
  context.log = log.get();
  context.flushes = flushes.get();
  context.checkpointer = checkpointer.get();
  context.check_place = [this] { return check_place(); };
  context.suspend_others = [this](const Error& reason) {
    pool->suspend(reason);
    hub->suspend();
    checkpointer->suspend();
    checker->suspend();
    backups->suspend();
  };
  context.resume_others = [this] {
    backups->resume();
    checker->resume();
    checkpointer->resume();
    hub->resume();
    pool->resume();
  };
  context.end_long_reads = [this] {
    checker->suspend();
    checker->resume();
  };
  committer = std::make_unique<Committer>(std::move(context), std::move(writer));
  if (options.neighbours == SqliteOptions::Neighbours::on &&
      options.access != SqliteOptions::Access::read) {
    neighbours = std::make_shared<SocketNeighbours>(*sidecar, env);
  }
}

Status SqliteBackend::Parts::start() {
  SEMPER_TRY_STATUS(checkpointer->start());
  SEMPER_TRY_STATUS(flushes->start());
  return committer->start();
}

Status SqliteBackend::Parts::check_place() {
  std::shared_ptr<const Place> place;
  {
    std::lock_guard lock(losing);
    if (lost) return fail(*lost);
    place = options.place;
  }
  if (!place) return {};  // closed
  auto in_place = place->check();
  if (!in_place) give_up(in_place.error());
  return in_place;
}

Status SqliteBackend::Parts::check_place_if_due(MonotonicTime now) {
  const auto at = now.time_since_epoch().count();
  if (at < next_look.load(std::memory_order_relaxed)) return {};
  next_look.store(at + kPlaceInterval.count(), std::memory_order_relaxed);
  return check_place();
}

// Nothing is read, written or copied by this handle any more.
void SqliteBackend::Parts::give_up(const Error& error) {
  {
    std::lock_guard lock(losing);
    if (lost) return;
    // First: the committer answers with it as soon as the place is looked for in vain.
    committer->fail_for_good(error);
    lost = error;
  }
  log_error("sqlite", error.message());
  pool->stop(error);
  checkpointer->suspend();
  checker->suspend();
  backups->suspend();
  hub->give_up();
}

// On a thread of its own; all who close meanwhile are told together. Error: no thread is to be had.
Status SqliteBackend::Parts::close_soon(OneShot<std::monostate> done) {
  std::lock_guard lock(closers_mutex);
  if (is_closed) {
    done.set({});
    return {};
  }
  if (!closer.joinable()) {
    SEMPER_TRY_STATUS(start_thread(closer, "semper-close", [this] {
      shut_down();
      std::vector<OneShot<std::monostate>> told;
      {
        std::lock_guard closed_by_now(closers_mutex);
        is_closed = true;
        told.swap(closers);
      }
      for (auto& one : told) one.set({});
    }));
  }
  closers.push_back(std::move(done));
  return {};
}

void SqliteBackend::Parts::shut_down() {
  std::lock_guard lock(closing);
  if (closed) return;
  closed = true;
  if (neighbours) neighbours->stop();
  // What waits is committed first. The writer's connection is closed last: it empties the WAL.
  committer->finish_queue();
  flushes->stop();
  hub->close();
  checker->suspend();
  backups->suspend();
  checkpointer->stop();
  pool->stop(closed_error());
  // Handles that are opened from now on may find new files.
  {
    std::lock_guard place(losing);
    options.place.reset();
  }
  committer->close_writer();
  sidecar->retire();
}

SqliteBackend::~SqliteBackend() {
  if (parts_->fork.is_foreign()) {
    static_cast<void>(parts_.release());
    return;
  }
  if (parts_->closer.joinable()) parts_->closer.join();
  parts_->shut_down();
}

const Limits& SqliteBackend::limits() const {
  return kStoreLimits;
}

BackendTraits SqliteBackend::traits() const {
  return {.wants_row_counts = true, .resolves_outcomes = true, .versions_are_commits = true};
}

std::string SqliteBackend::url() const {
  return parts_->options.url;
}

std::optional<Error> SqliteBackend::failure() const {
  {
    std::lock_guard lock(parts_->losing);
    if (parts_->lost) return parts_->lost;
  }
  return parts_->committer->failure();
}

Async<std::unique_ptr<Snapshot>> SqliteBackend::snapshot() {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  for (int attempt = 0; attempt < kFlushRecoveries; ++attempt) {
    const auto now = parts_->env.clock->now();
    SEMPER_CO_TRY_STATUS(parts_->check_place_if_due(now));
    auto pool = parts_->pool;
    SEMPER_CO_TRY(auto view, co_await pool->acquire());
    SnapshotLife life;
    life.clock = parts_->env.clock;
    life.fork = parts_->fork;
    life.expires = parts_->env.clock->after(kStoreLimits.transaction_duration);
    auto snapshot = std::make_unique<SqliteSnapshot>(std::move(pool), std::move(view), life);
    // SQLite shows what is in the log. Nobody is to hear of it before it is durable.
    const Version version = snapshot->version();
    const auto mark = parts_->log->seen(version);
    const bool is_durable = parts_->log->look(mark) == LogSync::State::durable;
    if (is_durable || SEMPER_MUTANT("sqlite_shown_before_durable")) co_return snapshot;
    SEMPER_CO_TRY_STATUS(co_await parts_->flushes->wait(mark));
    // A recovery took the view away.
    if (parts_->log->seen(version).recoveries == mark.recoveries) co_return snapshot;
  }
  co_return fail(ErrorKind::io, parts_->options.path.file +
                                    " was opened again several times in a row; begin anew, and "
                                    "look at the disk");
}

// Each committer leaves in the sidecar what it writes before it says that it has committed.
std::optional<Version> SqliteBackend::newest_known() const {
  if (parts_->fork.is_foreign()) return std::nullopt;
  return parts_->sidecar->version();
}

bool SqliteBackend::is_known_unchanged(BytesView key, Version since) const {
  if (parts_->fork.is_foreign()) return false;
  if (SEMPER_MUTANT("sqlite_changes_of_others_unknown")) return true;
  return parts_->sidecar->shared().keys.is_unchanged(hash_key(key), since);
}

Status SqliteBackend::check_neighbours() const {
  SEMPER_TRY_STATUS(parts_->fork.check("this store"));
  if (parts_->neighbours) return {};
  return fail(ErrorKind::unsupported, parts_->options.access == SqliteOptions::Access::read
                                          ? "a store that is opened for reading has no neighbours"
                                          : "this store was opened with neighbours=off");
}

Result<std::unique_ptr<Neighbours::Listening>> SqliteBackend::listen(std::string topic,
                                                                     Accept accept) {
  SEMPER_TRY_STATUS(check_neighbours());
  return parts_->neighbours->listen(std::move(topic), std::move(accept));
}

bool SqliteBackend::has_listener(std::string_view topic) const {
  return !parts_->fork.is_foreign() && parts_->neighbours &&
         parts_->neighbours->has_listener(topic);
}

Result<std::shared_ptr<NeighbourLink>> SqliteBackend::connect(
    std::string topic, std::shared_ptr<NeighbourReceiver> receiver) {
  SEMPER_TRY_STATUS(parts_->fork.check("this store"));
  if (!parts_->neighbours) {
    return fail(ErrorKind::not_found, "this handle of the store talks to no other process");
  }
  return parts_->neighbours->connect(std::move(topic), std::move(receiver));
}

Status SqliteBackend::check_commits() const {
  if (parts_->options.access != SqliteOptions::Access::read) return {};
  return fail(opened_for_reading(parts_->options));
}

Async<CommitReceipt> SqliteBackend::commit(CommitRequest request) {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  SEMPER_CO_TRY_STATUS(check_commits());
  co_return co_await parts_->committer->commit(std::move(request));
}

Async<void> SqliteBackend::raise_version(Version floor) {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  SEMPER_CO_TRY_STATUS(check_commits());
  if (floor > kVersionMaximum) {
    co_return fail(ErrorKind::invalid_argument, "version " + std::to_string(floor) +
                                                    " is no version of a store: the highest is " +
                                                    std::to_string(kVersionMaximum) +
                                                    "; nothing was changed");
  }
  CommitRequest nothing;  // named: g++ 12 destroys an aggregate inside a co_await expression twice
  SEMPER_CO_TRY(const auto raised, co_await parts_->committer->commit(std::move(nothing), floor));
  static_cast<void>(raised);
  co_return Status{};
}

Async<std::unique_ptr<Watch>> SqliteBackend::watch(BytesView key, Snapshot& seen) {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  auto& snapshot = static_cast<SqliteSnapshot&>(seen);
  SEMPER_CO_TRY(const Version row, snapshot.row_version(key));
  co_return parts_->hub->add(key, {snapshot.version(), row});
}

Async<std::string> SqliteBackend::check() {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  co_return co_await parts_->checker->check();
}

Async<BackupReport> SqliteBackend::backup(std::string path, BackupOptions options) {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  co_return co_await parts_->backups->backup(std::move(path), std::move(options));
}

std::vector<std::pair<std::string, std::int64_t>> SqliteBackend::statistics() const {
  const auto& from = parts_->statistics;
  const std::int64_t log_bytes = size_of_log(parts_->options);
  const std::int64_t holder = log_bytes < kWalHardBytes || parts_->fork.is_foreign()
                                  ? 0
                                  : log_readers(parts_->options, *parts_->sidecar).first_pid();
  return {
      {"commits", from.commits},
      {"conflicts", from.conflicts},
      {"batches", from.batches},
      {"largest_batch", from.largest_batch},
      {"flushes", from.flushes},
      {"flush_time_us", from.flush_time_us},
      {"turn_wait_us", from.turn_wait_us},
      {"validations_by_log", from.validations_by_log},
      {"validations_by_sql", from.validations_by_sql},
      {"recoveries", from.recoveries},
      {"wal_bytes", from.wal_bytes},
      {"checkpoints", from.checkpoints},
      {"wal_restarts", from.wal_restarts},
      {"wal_waits", from.wal_waits},
      {"wal_file_bytes", log_bytes},
      {"wal_held_by_pid", holder},
      {"snapshots", from.snapshots},
      {"snapshots_shared", from.snapshots_shared},
      {"snapshots_revoked", from.snapshots_revoked},
      {"readers_in_use", static_cast<std::int64_t>(parts_->pool->views_in_use())},
      {"watches", from.watches},
      {"wake_ups", from.wake_ups},
  };
}

Async<void> SqliteBackend::close() {
  SEMPER_CO_TRY_STATUS(parts_->fork.check("this store"));
  OneShot<std::monostate> done;
  if (!parts_->close_soon(done)) {
    parts_->shut_down();
    co_return Status{};
  }
  SEMPER_CO_TRY_STATUS(co_await done.wait());
  co_return Status{};
}

// Who may not write, or has no room to, reads all the same, where that is all that was asked for.
Result<std::shared_ptr<Backend>> open_at(SqliteOptions options, Env env) {
  auto opened = SqliteBackend::open(options, env);
  if (opened || options.access != SqliteOptions::Access::read ||
      (opened.error().kind() != ErrorKind::permission &&
       opened.error().kind() != ErrorKind::exhausted)) {
    return opened;
  }
  SEMPER_TRY_STATUS(find_store(options));
  auto read = ReadOnlyBackend::open(std::move(options), env);
  if (!read && opened.error().kind() == ErrorKind::exhausted) return opened;
  return read;
}

}  // namespace semper::sqlite

namespace semper {

Async<std::shared_ptr<Backend>> open_sqlite(StoreUrl url, Env env) {
  SEMPER_CO_TRY(auto options, sqlite::parse_options(url));
  const std::string which = options.url;
  auto opened = sqlite::open_at(std::move(options), env);
  if (!opened) co_return fail(opened.error().in(which));
  co_return std::move(*opened);
}

}  // namespace semper
