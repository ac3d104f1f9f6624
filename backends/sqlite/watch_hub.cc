#include "watch_hub.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "start_thread.h"
#include "turn.h"

namespace semper::sqlite {
namespace {

std::size_t slot_of(std::uint64_t hash) {
  return hash % kWatchSlots;
}

void wake(SidecarEntry& entry) {
  entry.wake.fetch_add(1);
  futex_wake_all(entry.wake);
}

}  // namespace

class WatchHub::Handle final : public Watch {
 public:
  Handle(std::shared_ptr<WatchHub> hub, EntryPtr entry)
      : hub_(std::move(hub)), entry_(std::move(entry)) {}

  ~Handle() override {
    if (hub_->fork_.is_foreign()) return;
    std::lock_guard lock(hub_->mutex_);
    hub_->unlist(*entry_);
  }

  Async<void> changed(MonotonicTime deadline) override {
    auto entry = entry_;
    auto& clock = *hub_->context_.clock;
    if (!entry->has_fired.load()) {
      if (deadline <= clock.now())
        co_return fail(wait_error(ErrorKind::timeout, "the deadline passed"));
      auto waited = co_await entry->event.wait_until(clock, deadline);
      if (!waited) co_return fail(wait_error(waited.error().kind(), waited.error().message()));
    }
    if (entry->fired == WatchEvent::changed) co_return Status{};
    co_return fail(ErrorKind::closed, "the store was closed while key " + to_printable(entry->key) +
                                          " was being watched");
  }

 private:
  Error wait_error(ErrorKind kind, const std::string& why) const {
    return Error(kind, "watch on key " + to_printable(entry_->key) + ": " + why);
  }

  std::shared_ptr<WatchHub> hub_;
  EntryPtr entry_;
};

WatchHub::~WatchHub() {
  SEMPER_ASSERT(!thread_.joinable(), "a watch hub is closed before it goes");
}

void WatchHub::fire(Entry& entry, WatchEvent event) {
  entry.fired = event;
  entry.has_fired.store(true);
  entry.event.set(event);
}

Result<std::unique_ptr<Watch>> WatchHub::add(BytesView key, const Seen& seen) {
  auto entry = std::make_shared<Entry>();
  entry->key = key;
  entry->seen = seen;
  entry->slot = slot_of(hash_key(key));
  SEMPER_TRY_STATUS(list(entry));
  auto handle = std::make_unique<Handle>(shared_from_this(), entry);
  // Only now, see the head of watch_hub.h.
  const bool may_be_late = context_.sidecar->version() != seen.snapshot;
  if (may_be_late && !SEMPER_MUTANT("sqlite_watch_misses_the_past")) compare({entry});
  return handle;
}

Status WatchHub::list(const EntryPtr& entry) {
  std::lock_guard lock(mutex_);
  if (closed_) return fail(ErrorKind::closed, "the store is closed");
  if (count_.load() >= kWatchesMaximum) {
    return fail(ErrorKind::exhausted, Limit{"kWatchesMaximum", kWatchesMaximum},
                "this store has " + std::to_string(kWatchesMaximum) +
                    " watches already, which is the most; drop some");
  }
  if (given_up_) {
    fire(*entry, WatchEvent::changed);
    return {};
  }
  SEMPER_TRY_STATUS(start_thread_once());
  auto& slot = by_slot_[entry->slot];
  auto& mine = context_.sidecar->mine();
  if (slot.empty()) {
    mine.watched[entry->slot / 64].fetch_or(std::uint64_t{1} << (entry->slot % 64));
    seen_counters_[entry->slot] = context_.sidecar->shared().slots[entry->slot].load();
  }
  slot.push_back(entry);
  entry->listed = true;
  Statistics::add(context_.statistics->watches, 1);
  if (count_.fetch_add(1) == 0) {
    mine.watches.store(1);
    work_.notify_all();
  }
  return {};
}

void WatchHub::unlist(Entry& entry) {
  if (!entry.listed) return;
  entry.listed = false;
  auto& slot = by_slot_[entry.slot];
  const auto found = std::find_if(slot.begin(), slot.end(),
                                  [&](const EntryPtr& other) { return other.get() == &entry; });
  std::swap(*found, slot.back());
  slot.pop_back();
  auto& mine = context_.sidecar->mine();
  if (slot.empty()) {
    mine.watched[entry.slot / 64].fetch_and(~(std::uint64_t{1} << (entry.slot % 64)));
  }
  Statistics::add(context_.statistics->watches, -1);
  if (count_.fetch_sub(1) == 1) mine.watches.store(0);
}

void WatchHub::on_commit(const WrittenKeys& written, Version version) {
  if (count_.load() > 0) fire_local(written, version);
  announce(written);
}

void WatchHub::fire_local(const WrittenKeys& written, Version version) {
  std::vector<EntryPtr> fired;
  std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < written.size(); ++i) {
    for (const auto& entry : by_slot_[slot_of(written.hash(i))]) {
      if (entry->key == written.key(i) && entry->seen.snapshot < version) fired.push_back(entry);
    }
  }
  for (const auto& [range, written_at] : written.ranges()) {
    for (const auto& slot : by_slot_) {
      for (const auto& entry : slot) {
        if (range.contains(entry->key) && entry->seen.snapshot < written_at) fired.push_back(entry);
      }
    }
  }
  // Who is told, and looks, must not be shown an older state.
  if (!fired.empty()) context_.sidecar->saw(version);
  for (const auto& entry : fired) {
    unlist(*entry);
    fire(*entry, WatchEvent::changed);
  }
}

void WatchHub::announce(const WrittenKeys& written) {
  auto& shared = context_.sidecar->shared();
  bool anybody = false;
  context_.sidecar->for_each_other(
      [&](SidecarEntry& other) { anybody = anybody || other.watches.load() != 0; });
  if (!anybody) return;
  for (std::size_t i = 0; i < written.size(); ++i) {
    shared.slots[slot_of(written.hash(i))].fetch_add(1);
  }
  const bool anything = !written.ranges().empty();
  if (anything) shared.all_changed.fetch_add(1);
  context_.sidecar->for_each_other([&](SidecarEntry& other) {
    if (other.watches.load() == 0) return;
    bool concerned = anything;
    for (std::size_t i = 0; i < written.size() && !concerned; ++i) {
      const auto slot = slot_of(written.hash(i));
      concerned = (other.watched[slot / 64].load() >> (slot % 64) & 1) != 0;
    }
    if (concerned) wake(other);
  });
}

void WatchHub::on_unknown_commit() {
  context_.sidecar->shared().all_changed.fetch_add(1);
  context_.sidecar->for_each_other([](SidecarEntry& other) { wake(other); });
  wake(context_.sidecar->mine());
}

void WatchHub::ask_for_wal() {
  context_.sidecar->shared().wal_wanted.fetch_add(1);
  context_.sidecar->for_each_other([](SidecarEntry& other) {
    if (other.watches.load() != 0) wake(other);
  });
}

void WatchHub::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    fire_all(WatchEvent::closed);
  }
  work_.notify_all();
  wake(context_.sidecar->mine());
  if (thread_.joinable()) thread_.join();
  suspend();
}

// With the mutex held.
void WatchHub::fire_all(WatchEvent event) {
  std::vector<EntryPtr> all;
  for (const auto& slot : by_slot_) all.insert(all.end(), slot.begin(), slot.end());
  for (const auto& entry : all) {
    unlist(*entry);
    fire(*entry, event);
  }
}

void WatchHub::give_up() {
  suspend();
  std::lock_guard lock(mutex_);
  given_up_ = true;
  fire_all(WatchEvent::changed);
}

void WatchHub::suspend() {
  std::lock_guard lock(reader_mutex_);
  suspended_ = true;
  reader_.reset();
}

void WatchHub::resume() {
  {
    std::lock_guard lock(reader_mutex_);
    suspended_ = false;
  }
  {
    std::lock_guard lock(mutex_);
    compare_all_ = true;
  }
  wake(context_.sidecar->mine());
}

Status WatchHub::start_thread_once() {
  if (thread_.joinable()) return {};
  seen_all_changed_ = context_.sidecar->shared().all_changed.load();
  return start_thread(thread_, "semper-watch", [this] { run(); });
}

void WatchHub::run() {
  std::uint32_t seen_wal_wanted = context_.sidecar->shared().wal_wanted.load();
  while (true) {
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return closed_ || count_.load() > 0; });
      if (closed_) return;
    }
    const auto wake_word = context_.sidecar->mine().wake.load();
    compare(entries_to_compare());
    const auto wal_wanted = context_.sidecar->shared().wal_wanted.load();
    if (wal_wanted != seen_wal_wanted) {
      seen_wal_wanted = wal_wanted;
      context_.on_wal_wanted();
    }
    if (sleep_until_woken(wake_word)) continue;
    context_.on_look();
    look_for_unannounced_commits();
  }
}

// False where nobody woke us for kSafetyPoll.
bool WatchHub::sleep_until_woken(std::uint32_t wake_word) {
  auto& word = context_.sidecar->mine().wake;
  futex_wait(word, wake_word, kSafetyPoll);
  Statistics::add(context_.statistics->wake_ups, 1);
  return word.load() != wake_word;
}

std::vector<WatchHub::EntryPtr> WatchHub::entries_to_compare() {
  std::lock_guard lock(mutex_);
  auto& shared = context_.sidecar->shared();
  const auto all_changed = shared.all_changed.load();
  const bool all = compare_all_ || all_changed != seen_all_changed_;
  seen_all_changed_ = all_changed;
  compare_all_ = false;
  std::vector<EntryPtr> entries;
  for (std::size_t slot = 0; slot < kWatchSlots; ++slot) {
    if (by_slot_[slot].empty()) continue;
    const auto counter = shared.slots[slot].load();
    if (!all && counter == seen_counters_[slot]) continue;
    seen_counters_[slot] = counter;
    entries.insert(entries.end(), by_slot_[slot].begin(), by_slot_[slot].end());
  }
  return entries;
}

// With reader_mutex_ held: opens a read transaction on the newest state.
Result<Version> WatchHub::begin_to_read() {
  if (suspended_) return fail(ErrorKind::retry, "the store is being opened again");
  if (!reader_) {
    SEMPER_TRY(reader_, Reader::open(*context_.options));
  }
  SEMPER_TRY(const Version version, reader_->begin());
  context_.sidecar->saw(version);
  return version;
}

void WatchHub::compare(const std::vector<EntryPtr>& entries) {
  if (entries.empty()) return;
  std::vector<EntryPtr> changed;
  {
    std::lock_guard lock(reader_mutex_);
    if (suspended_) return;  // resume() has everything compared
    const auto begun = begin_to_read();
    for (const auto& entry : entries) {
      // What cannot be read is reported as changed: the owner looks, and gets the error.
      auto row = begun;
      if (row) row = reader_->row_version(entry->key);
      if (!row || *row != entry->seen.row) changed.push_back(entry);
    }
    if (begun) reader_->end();
  }
  if (changed.empty()) return;
  std::lock_guard lock(mutex_);
  for (const auto& entry : changed) {
    if (!entry->listed) continue;
    unlist(*entry);
    fire(*entry, WatchEvent::changed);
  }
}

// A committer that dies between its commit and its announcement leaves the version here behind, or
// has the turn still.
void WatchHub::look_for_unannounced_commits() {
  Result<Version> present = Version{0};
  {
    std::lock_guard lock(reader_mutex_);
    present = begin_to_read();
    if (present) reader_->end();
  }
  const bool is_ahead = present && *present > context_.sidecar->version();
  if (!is_ahead && !Turn::is_of_the_dead(*context_.sidecar)) return;
  std::lock_guard lock(mutex_);
  compare_all_ = true;
}

}  // namespace semper::sqlite
