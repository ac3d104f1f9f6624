#include "watch_hub.h"

#include <algorithm>
#include <utility>

#include "etcd_error.h"
#include "semper/base/internal/mutant.h"

namespace semper::etcd {
namespace {

// Responses of the stream that wait to be looked at.
constexpr std::size_t kStreamReadAhead = 256;

Error closed_error() {
  return Error(ErrorKind::closed, "the store was closed while the key was watched");
}

}  // namespace

class WatchHub::Handle final : public Watch {
 public:
  Handle(std::shared_ptr<WatchHub> hub, Bytes key, EntryPtr entry)
      : hub_(std::move(hub)), key_(std::move(key)), entry_(std::move(entry)) {}
  ~Handle() override { hub_->drop(key_, entry_); }

  Async<void> changed(MonotonicTime deadline) override {
    if (!end_) {
      SEMPER_CO_TRY(end_, co_await entry_->event.wait_until(*hub_->context_.env.clock, deadline));
    }
    if (end_ == WatchEvent::changed) co_return Status{};
    co_return fail(closed_error());
  }

 private:
  const std::shared_ptr<WatchHub> hub_;
  const Bytes key_;
  const EntryPtr entry_;
  std::optional<WatchEvent> end_;
};

Result<std::unique_ptr<Watch>> WatchHub::add(Bytes stored, const Seen& seen) {
  auto entry = std::make_shared<Entry>();
  entry->seen = seen;
  std::lock_guard lock(mutex_);
  if (closed_) return fail(closed_error());
  const auto known = ids_.find(stored);
  if (waiting_ >= kWatchesMaximum ||
      (known == ids_.end() && watchers_.size() >= kWatchersMaximum + idle_.size())) {
    return fail(ErrorKind::exhausted, Limit{"kWatchesMaximum", kWatchesMaximum},
                "this store has " + std::to_string(waiting_) + " watches on " +
                    std::to_string(watchers_.size()) + " keys already, of at most " +
                    std::to_string(kWatchesMaximum) + " on " + std::to_string(kWatchersMaximum));
  }
  if (known == ids_.end()) {
    Watcher made;
    made.key = stored;
    made.entries.push_back(entry);
    subscribe(made, seen.snapshot + 1);
  } else {
    Watcher& watcher = watchers_.at(known->second);
    wake_up(watcher);
    watcher.entries.push_back(entry);
    if (watcher.since > seen.snapshot + 1) {
      // It does not know what came between that snapshot and its own beginning.
      Watcher again = std::move(watcher);
      cancel(again.id);
      watchers_.erase(known->second);
      subscribe(again, seen.snapshot + 1);
    } else if (watcher.last_change > seen.snapshot) {
      fire(watcher, watcher.last_change);
    }
  }
  ++waiting_;
  Statistics::add(context_.statistics->watches);
  start();
  return std::make_unique<Handle>(shared_from_this(), std::move(stored), std::move(entry));
}

void WatchHub::drop(const Bytes& key, const EntryPtr& entry) {
  std::lock_guard lock(mutex_);
  --waiting_;
  Statistics::add(context_.statistics->watches, -1);
  if (closed_) return;
  const auto known = ids_.find(key);
  if (known == ids_.end()) return;
  Watcher& watcher = watchers_.at(known->second);
  std::erase(watcher.entries, entry);
  if (watcher.entries.empty()) rest(watcher);
}

// All below: with the mutex held, unless they say otherwise.

void WatchHub::subscribe(Watcher& watcher, Revision from) {
  watcher.next = SEMPER_MUTANT("etcd_watch_from_a_later_revision") ? from + 1 : from;
  watcher.since = from;
  watcher.last_change = 0;
  place(watcher);
}

// Under a new id: none is used twice on a stream.
void WatchHub::place(Watcher& watcher) {
  const auto id = ++last_id_;
  watcher.id = id;
  if (watcher.idle) **watcher.idle = id;
  ids_.insert_or_assign(watcher.key, id);
  watchers_.emplace(id, std::move(watcher));
  create(id);
}

void WatchHub::create(std::int64_t id) {
  if (stream_) send_creates(on_stream_.want(id));
}

void WatchHub::send_creates(const std::vector<std::int64_t>& ids) {
  for (const auto id : ids) {
    const auto found = watchers_.find(id);
    if (found == watchers_.end()) continue;
    pb::WatchRequest request;
    auto& asked = *request.mutable_create_request();
    asked.set_key(found->second.key);
    asked.set_start_revision(found->second.next);
    asked.set_progress_notify(true);
    asked.set_watch_id(id);
    // Where it fails the stream is at its end, and its successor creates all.
    static_cast<void>(stream_->send(request.SerializeAsString()));
  }
  if (!ids.empty()) asked_at_ = context_.env.clock->now();
}

void WatchHub::cancel(std::int64_t id) {
  if (!stream_) return;
  if (const auto there = on_stream_.forget(id)) send_cancel(*there);
}

void WatchHub::send_cancel(std::int64_t there) {
  pb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(there);
  static_cast<void>(stream_->send(request.SerializeAsString()));
}

WatchHub::Watcher* WatchHub::watcher_there(std::int64_t there) {
  const auto id = on_stream_.id_of(there);
  const auto found = id ? watchers_.find(*id) : watchers_.end();
  return found == watchers_.end() ? nullptr : &found->second;
}

void WatchHub::rest(Watcher& watcher) {
  if (watcher.idle) return;
  watcher.idle = idle_.insert(idle_.end(), watcher.id);
  if (idle_.size() > kIdleWatchersMaximum) forget(idle_.front());
}

void WatchHub::wake_up(Watcher& watcher) {
  if (!watcher.idle) return;
  idle_.erase(*watcher.idle);
  watcher.idle.reset();
}

void WatchHub::forget(std::int64_t id) {
  const auto found = watchers_.find(id);
  wake_up(found->second);
  cancel(id);
  ids_.erase(found->second.key);
  watchers_.erase(found);
}

void WatchHub::start() {
  if (std::exchange(started_, true)) return;
  asio::co_spawn(context_.executor, run_stream(shared_from_this()), asio::detached);
  asio::co_spawn(context_.executor, run_polls(shared_from_this()), asio::detached);
}

// Those whose snapshot is before the change.
void WatchHub::fire(Watcher& watcher, Revision modified) {
  std::erase_if(watcher.entries, [&](const EntryPtr& entry) {
    if (entry->seen.snapshot >= modified) return false;
    entry->event.set(WatchEvent::changed);
    return true;
  });
  if (watcher.entries.empty()) rest(watcher);
}

// Without the mutex.

void WatchHub::close() {
  std::shared_ptr<rpc::DuplexStream> stream;
  std::lock_guard lock(mutex_);
  if (std::exchange(closed_, true)) return;
  stream = std::exchange(stream_, nullptr);
  for (auto& [id, watcher] : watchers_) {
    for (const auto& entry : watcher.entries) entry->event.set(WatchEvent::closed);
    watcher.entries.clear();
  }
  if (stream) stream->cancel();
}

void WatchHub::break_stream() {
  std::lock_guard lock(mutex_);
  if (stream_) stream_->cancel();
}

Task<void> WatchHub::run_stream(std::shared_ptr<WatchHub> self) {
  Backoff pause(kStreamPause, *self->context_.env.random);
  while (true) {
    const auto began = self->context_.env.clock->now();
    auto ended = co_await self->follow();
    {
      std::lock_guard lock(self->mutex_);
      self->stream_.reset();
      self->stream_channel_.reset();
      if (self->closed_) co_return;
    }
    if (!ended) self->context_.cluster->stale_token(ended.error());
    if (self->context_.env.clock->now() - began > kStreamPause.maximum) pause.reset();
    if (!co_await sleep_for(*self->context_.env.clock, pause.next())) co_return;
  }
}

// One connection of the stream, to its end.
Async<void> WatchHub::follow() {
  auto& cluster = *context_.cluster;
  SEMPER_CO_TRY(const auto channel, co_await cluster.channel());
  SEMPER_CO_TRY(auto options, co_await cluster.stream_options());
  options.read_ahead = kStreamReadAhead;
  std::shared_ptr<rpc::DuplexStream> stream;
  {
    std::lock_guard lock(mutex_);
    if (closed_) co_return fail(closed_error());
    stream = std::make_shared<rpc::DuplexStream>(rpc::open_duplex(channel, kWatchMethod, options));
    stream_ = stream;
    stream_channel_ = channel;
    on_stream_.reset();
    for (const auto& [id, watcher] : watchers_) create(id);
  }
  Statistics::add(context_.statistics->watch_streams);
  while (true) {
    auto message = co_await stream->next();
    Status taken;
    if (!message) {
      taken = fail(message.error());
    } else if (!*message) {
      taken = fail(ErrorKind::closed, "etcd ended the watch stream");
    } else {
      pb::WatchResponse response;
      if (!response.ParseFromString(**message)) {
        taken = fail(ErrorKind::corrupt, "what came on the watch stream is no message of etcd's");
      } else {
        taken = co_await take(response);
      }
    }
    if (taken) continue;
    cluster.failed(channel.address());
    co_return fail(taken.error());
  }
}

Async<void> WatchHub::take(const pb::WatchResponse& response) {
  if (response.compact_revision() != 0) co_return co_await read_again(response.watch_id());
  if (response.created() && response.canceled()) {
    co_return fail(ErrorKind::io, "etcd refused a watch: " + response.cancel_reason());
  }
  if (response.canceled()) {
    // One of ours that was given up; anything else ends the stream, which begins them all anew.
    std::lock_guard lock(mutex_);
    if (watcher_there(response.watch_id()) == nullptr) co_return Status{};
    co_return fail(ErrorKind::io, "etcd ended a watch: " + response.cancel_reason());
  }
  if (response.created()) take_created(response.watch_id());
  if (response.events_size() > 0) {
    take_events(response);
  } else if (!response.created()) {
    // Progress: everything up to this revision was told.
    std::lock_guard lock(mutex_);
    if (auto* const watcher = watcher_there(response.watch_id())) {
      watcher->next = std::max(watcher->next, response.header().revision() + 1);
    }
  }
  co_return Status{};
}

void WatchHub::take_created(std::int64_t there) {
  std::lock_guard lock(mutex_);
  if (!stream_) return;
  const auto told = on_stream_.created(there);
  if (told.id && !watchers_.contains(*told.id)) {
    // Forgotten before its id there was known.
    on_stream_.forget(*told.id);
    send_cancel(there);
  }
  send_creates(told.send);
}

void WatchHub::take_events(const pb::WatchResponse& response) {
  Statistics::add(context_.statistics->watch_events, response.events_size());
  std::lock_guard lock(mutex_);
  for (const auto& event : response.events()) {
    const auto known = ids_.find(event.kv().key());
    if (known == ids_.end()) continue;
    Watcher& watcher = watchers_.at(known->second);
    const Revision modified = event.kv().mod_revision();
    watcher.next = std::max(watcher.next, modified + 1);
    watcher.last_change = std::max(watcher.last_change, modified);
    fire(watcher, watcher.last_change);
  }
}

// What this watcher would have been told was compacted.
Async<void> WatchHub::read_again(std::int64_t there) {
  Statistics::add(context_.statistics->watch_resyncs);
  std::vector<Bytes> keys;
  std::int64_t id = 0;
  {
    std::lock_guard lock(mutex_);
    const auto* const watcher = watcher_there(there);
    if (watcher == nullptr) co_return Status{};
    keys.push_back(watcher->key);
    id = watcher->id;
  }
  SEMPER_CO_TRY_STATUS(co_await poll(keys));
  std::lock_guard lock(mutex_);
  const auto found = watchers_.find(id);
  if (found == watchers_.end()) co_return Status{};
  Watcher again = std::move(found->second);
  cancel(id);
  watchers_.erase(found);
  place(again);
  co_return Status{};
}

void WatchHub::leave_dead_stream() {
  std::lock_guard lock(mutex_);
  if (!stream_) return;
  const bool silent =
      on_stream_.is_waiting() && context_.env.clock->now() - asked_at_ >= kPollInterval;
  if (silent || !stream_channel_->is_ready()) stream_->cancel();
}

Task<void> WatchHub::run_polls(std::shared_ptr<WatchHub> self) {
  while (co_await sleep_for(*self->context_.env.clock, kPollInterval)) {
    auto keys = self->awaited_keys();
    {
      std::lock_guard lock(self->mutex_);
      if (self->closed_) co_return;
    }
    self->leave_dead_stream();
    if (keys.empty()) continue;
    Statistics::add(self->context_.statistics->watch_polls);
    // Where it fails, the next round reads again.
    static_cast<void>(co_await self->poll(std::move(keys)));
  }
}

std::vector<Bytes> WatchHub::awaited_keys() {
  std::vector<Bytes> keys;
  std::lock_guard lock(mutex_);
  for (const auto& [id, watcher] : watchers_) {
    if (!watcher.entries.empty()) keys.push_back(watcher.key);
  }
  return keys;
}

Async<void> WatchHub::poll(std::vector<Bytes> keys) {
  for (std::size_t from = 0; from < keys.size(); from += kPollReads) {
    const std::size_t to = std::min(keys.size(), from + kPollReads);
    pb::TxnRequest request;
    for (std::size_t i = from; i < to; ++i) {
      auto& read = *request.add_success()->mutable_request_range();
      read.set_key(keys[i]);
      read.set_keys_only(true);
    }
    SEMPER_CO_TRY(const auto answer, co_await context_.cluster->read(request));
    for (std::size_t i = from; i < to; ++i) {
      const auto number = static_cast<int>(i - from);
      if (number >= answer.responses_size()) break;
      const auto* row = only_row(answer.responses(number));
      found(keys[i], row == nullptr ? 0 : row->mod_revision(), answer.header().revision());
    }
  }
  co_return Status{};
}

// The key as it was read at a revision.
void WatchHub::found(const Bytes& key, Revision modified, Revision at) {
  std::lock_guard lock(mutex_);
  const auto known = ids_.find(key);
  if (known == ids_.end()) return;
  Watcher& watcher = watchers_.at(known->second);
  const auto rescued = std::erase_if(watcher.entries, [&](const EntryPtr& entry) {
    if (entry->seen.snapshot > at || entry->seen.key == modified) return false;
    entry->event.set(WatchEvent::changed);
    return true;
  });
  Statistics::add(context_.statistics->watch_rescues, static_cast<std::int64_t>(rescued));
  // Of what came before, only the last change is known, and of a removal not even that.
  if (watcher.next <= at) {
    watcher.next = at + 1;
    watcher.since = at + 1;
  }
  watcher.last_change = std::max(watcher.last_change, modified);
  if (watcher.entries.empty()) rest(watcher);
}

}  // namespace semper::etcd
