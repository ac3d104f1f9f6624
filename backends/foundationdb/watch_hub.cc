#include "watch_hub.h"

#include <algorithm>
#include <functional>
#include <system_error>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"
#include "snapshot.h"

namespace semper::foundationdb {

ValuePrint ValuePrint::of(const std::optional<Bytes>& value) {
  if (!value) return {};
  return {true, value->size(), std::hash<BytesView>()(*value), crc32c(*value)};
}

class WatchHub::Handle final : public Watch {
 public:
  Handle(std::shared_ptr<WatchHub> hub, EntryPtr entry, std::shared_ptr<Waiter> waiter)
      : hub_(std::move(hub)), entry_(std::move(entry)), waiter_(std::move(waiter)) {}

  ~Handle() override {
    if (!hub_->connection_->fork.is_foreign()) hub_->leave(entry_, waiter_);
  }

  Async<void> changed(MonotonicTime deadline) override {
    SEMPER_CO_TRY_STATUS(hub_->connection_->fork.check());
    auto entry = entry_;
    auto waiter = waiter_;
    auto hub = hub_;
    auto& clock = *hub->connection_->env.clock;
    auto event = hub->fired(*waiter);
    if (!event) {
      if (deadline <= clock.now()) {
        co_return fail(wait_error(entry->key, ErrorKind::timeout, "the deadline passed"));
      }
      auto waited = co_await waiter->event.wait_until(clock, deadline);
      if (!waited) {
        co_return fail(wait_error(entry->key, waited.error().kind(), waited.error().message()));
      }
      event = *waited;
    }
    if (*event == Event::changed) co_return Status{};
    co_return fail(
        wait_error(entry->key, ErrorKind::closed, "the store was closed; open it again"));
  }

 private:
  static Error wait_error(const Bytes& key, ErrorKind kind, const std::string& why) {
    return Error(kind, "watch on key " + to_printable(key) + ": " + why);
  }

  std::shared_ptr<WatchHub> hub_;
  EntryPtr entry_;
  std::shared_ptr<Waiter> waiter_;
};

WatchHub::~WatchHub() {
  SEMPER_ASSERT(!scheduler_, "a watch hub is closed before it goes");
}

std::optional<WatchHub::Event> WatchHub::fired(const Waiter& waiter) const {
  std::lock_guard lock(mutex_);
  return waiter.fired;
}

void WatchHub::fire(Entry& entry, Event event) {
  for (const auto& waiter : entry.waiters) {
    waiter->fired = event;
    waiter->event.set(event);
  }
}

Status WatchHub::check_room() const {
  if (closed_) return fail(ErrorKind::closed, "the store was closed; open it again");
  if (watches_ < bounds_.watches && entries_.size() < bounds_.keys) return {};
  return fail(ErrorKind::exhausted, Limit{"watches", bounds_.watches},
              "this store has " + std::to_string(watches_) + " watches on " +
                  std::to_string(entries_.size()) + " keys, and at most " +
                  std::to_string(bounds_.watches) + " on " + std::to_string(bounds_.keys) +
                  " are possible; drop some");
}

Result<std::unique_ptr<Watch>> WatchHub::add(BytesView key, const Seen& seen) {
  auto waiter = std::make_shared<Waiter>();
  EntryPtr entry;
  {
    std::lock_guard lock(mutex_);
    SEMPER_TRY_STATUS(check_room());
    // Before anything is listed that nobody would look after.
    SEMPER_TRY_STATUS(start_thread());
    bool already_changed = false;
    entry = entry_for(key, seen, already_changed);
    if (already_changed) {
      waiter->fired = Event::changed;
    } else {
      entry->waiters.push_back(waiter);
      ++watches_;
      Statistics::add(connection_->statistics.watches, 1);
    }
  }
  return std::unique_ptr<Watch>(
      new Handle(shared_from_this(), std::move(entry), std::move(waiter)));
}

// The entry to wait at. Where the one that is there knows another value, one of the two snapshots
// is older than a change of the key.
WatchHub::EntryPtr WatchHub::entry_for(BytesView key, const Seen& seen, bool& already_changed) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    const EntryPtr present = found->second;
    if (present->seen.value == seen.value) return present;
    if (seen.version < present->seen.version) {
      already_changed = true;
      return present;
    }
    fire(*present, Event::changed);
    retire(present);
  }
  auto entry = std::make_shared<Entry>();
  entry->key = key;
  entry->seen = seen;
  entries_.emplace(entry->key, entry);
  start(entry);
  return entry;
}

Status WatchHub::start_thread() {
  if (scheduler_) return {};
  try {
    scheduler_ =
        std::make_unique<Scheduler>(SchedulerOptions{.threads = 1, .name = "semper-watch"});
  } catch (const std::system_error& error) {
    return fail(ErrorKind::exhausted, std::string("the system gives no thread for watches (") +
                                          error.what() +
                                          "); end processes that hold many, and try again");
  }
  return {};
}

void WatchHub::start(const EntryPtr& entry) {
  asio::co_spawn(scheduler_->executor(), keep(entry), asio::detached);
}

void WatchHub::retire(const EntryPtr& entry) {
  if (std::exchange(entry->over, true)) return;
  watches_ -= entry->waiters.size();
  Statistics::add(connection_->statistics.watches,
                  -static_cast<std::int64_t>(entry->waiters.size()));
  entry->waiters.clear();
  entries_.erase(entry->key);
  entry->disarm();
  entry->stop.set({});
}

void WatchHub::leave(const EntryPtr& entry, const std::shared_ptr<Waiter>& waiter) {
  std::lock_guard lock(mutex_);
  const auto found = std::find(entry->waiters.begin(), entry->waiters.end(), waiter);
  if (found == entry->waiters.end()) return;
  if (entry->waiters.size() == 1) return retire(entry);
  std::swap(*found, entry->waiters.back());
  entry->waiters.pop_back();
  --watches_;
  Statistics::add(connection_->statistics.watches, -1);
}

void WatchHub::fire_changed(const EntryPtr& entry) {
  std::lock_guard lock(mutex_);
  fire(*entry, Event::changed);
  retire(entry);
}

bool WatchHub::is_over(const EntryPtr& entry) const {
  std::lock_guard lock(mutex_);
  return entry->over;
}

// Until the key has changed or nobody waits for it any more.
Task<void> WatchHub::keep(EntryPtr entry) {
  auto& clock = *connection_->env.clock;
  Backoff backoff(kWatchBackoff, *connection_->env.random);
  while (!is_over(entry)) {
    const Armed armed = co_await arm(entry);
    if (armed == Armed::changed) co_return fire_changed(entry);
    const Duration pause = armed == Armed::no_room ? kLookInterval : backoff.next();
    const auto stopped = co_await entry->stop.wait_until(clock, clock.after(pause));
    if (stopped || is_over(entry)) co_return;
    const auto changed = co_await has_changed(entry);
    if (changed && *changed) co_return fire_changed(entry);
  }
}

// Reads the key. Where it is as it was, the watch goes on from the present version.
Async<bool> WatchHub::has_changed(const EntryPtr& entry) {
  Statistics::add(connection_->statistics.watch_looks, 1);
  SEMPER_CO_TRY(auto snapshot, co_await FdbSnapshot::open(connection_));
  SEMPER_CO_TRY(const auto value, co_await snapshot->get(entry->key));
  if (ValuePrint::of(value) != entry->seen.value) co_return true;
  std::lock_guard lock(mutex_);
  entry->seen.version = std::max(entry->seen.version, snapshot->version());
  co_return false;
}

bool WatchHub::take_place() {
  std::lock_guard lock(mutex_);
  if (armed_ >= bounds_.armed) return false;
  ++armed_;
  Statistics::add(connection_->statistics.watches_armed, 1);
  return true;
}

Task<WatchHub::Armed> WatchHub::arm(EntryPtr entry) {
  if (!take_place()) co_return Armed::no_room;
  const auto code = co_await wait_armed(entry);
  {
    std::lock_guard lock(mutex_);
    --armed_;
    Statistics::add(connection_->statistics.watches_armed, -1);
  }
  if (code && *code == 0) co_return Armed::changed;
  co_return code&&* code == code::kTooManyWatches ? Armed::no_room : Armed::failed;
}

// FoundationDB sets a watch when the transaction that asked for it commits, and compares with the
// value that this transaction sees. No timeout: it would end the watch, too.
Async<FdbError> WatchHub::wait_armed(const EntryPtr& entry) {
  SEMPER_CO_TRY(auto transaction, connection_->database->begin());
  {
    std::lock_guard lock(mutex_);
    if (entry->over) co_return code::kOperationCancelled;
    if (!SEMPER_MUTANT("fdb_change_between_read_and_watch_missed")) {
      transaction->set_read_version(entry->seen.version);
    }
  }
  Future watch = transaction->watch(connection_->keys().in_cluster(entry->key));
  {
    std::lock_guard lock(mutex_);
    if (entry->over) co_return code::kOperationCancelled;
    entry->disarm = watch.canceller();
  }
  Future commit = transaction->commit();
  SEMPER_CO_TRY(const FdbError committed, co_await commit.ready());
  if (committed != 0) co_return committed;
  co_return co_await watch.ready();
}

void WatchHub::close() {
  std::unique_ptr<Scheduler> ended;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    std::vector<EntryPtr> all;
    for (const auto& [key, entry] : entries_) all.push_back(entry);
    for (const auto& entry : all) {
      fire(*entry, Event::closed);
      retire(entry);
    }
    ended = std::move(scheduler_);
  }
  // Its coroutines are destroyed with it, and take back what they asked FoundationDB for.
}

}  // namespace semper::foundationdb
