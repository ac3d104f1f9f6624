#include "semper/durable/internal/stream_core.h"

#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/durable/internal/hooks.h"

namespace semper::internal {

struct StreamCore::Meters {
  Meters(metrics::Registry& registry, const std::string& name)
      : connected(attempts(registry, name, "connected")),
        failed(attempts(registry, name, "failed")),
        updates(registry.counter({"semper_stream_updates_total", "Updates received by streams"},
                                 {{"name", name}})),
        dropped(registry.counter({"semper_stream_dropped_updates_total",
                                  "Updates that streams dropped for slow readers"},
                                 {{"name", name}})),
        open(registry.gauge({"semper_stream_connected", "Streams that are connected"},
                            {{"name", name}})) {}

  static metrics::Counter& attempts(metrics::Registry& registry, const std::string& name,
                                    const char* result) {
    return registry.counter({"semper_stream_attempts_total", "Attempts of streams to connect"},
                            {{"name", name}, {"result", result}});
  }

  metrics::Counter& connected;
  metrics::Counter& failed;
  metrics::Counter& updates;
  metrics::Counter& dropped;
  metrics::Gauge& open;
};

StreamCore::StreamCore(StreamOptions options)
    : options_(std::move(options)),
      driver_gate_(options_.name),
      log_(options_.name, *options_.env.clock),
      meters_(options_.metrics != nullptr
                  ? std::make_unique<Meters>(*options_.metrics, options_.name)
                  : nullptr),
      pauses_(options_.retry, *options_.env.random) {
  SEMPER_ASSERT(options_.max_buffered_updates > 0, "a stream needs room for an update");
  SEMPER_ASSERT(options_.max_buffered_events >= 4, "a stream needs room for the events of a cycle");
}

StreamCore::~StreamCore() = default;

void StreamCore::close() {
  if (fork_.is_foreign()) return;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (std::exchange(statistics_.connected, false) && meters_) meters_->open.add(-1);
    closed_ = true;
  }
  driver_gate_.shut();
  Cancellable::cancel(driver_);
  wake_reader();
  wake_driver();
}

StreamStatistics StreamCore::statistics() const {
  if (fork_.is_foreign()) return {};
  std::lock_guard lock(mutex_);
  return statistics_;
}

bool StreamCore::has_room(Room room) const {
  switch (room) {
    case Room::updates:
      if (SEMPER_MUTANT("stream_buffer_without_a_bound")) return true;
      return statistics_.buffered_updates < options_.max_buffered_updates;
    case Room::events:
      return statistics_.buffered_events < options_.max_buffered_events;
    case Room::all:
      return statistics_.buffered_updates + statistics_.buffered_events == 0;
    case Room::dispatch:
      return dispatches_ < kDispatchesAtOnce;
  }
  return true;
}

bool StreamCore::is_over() const {
  std::lock_guard lock(mutex_);
  return closed_ || ended_;
}

Task<void> StreamCore::wait_for_room(Room room) {
  while (true) {
    OneShot<std::monostate> taken;
    {
      std::lock_guard lock(mutex_);
      if (closed_ || ended_ || has_room(room)) co_return;
      driver_waits_ = taken;
      driver_waits_for_ = room;
    }
    static_cast<void>(co_await taken.wait());
  }
}

void StreamCore::wake_driver() {
  std::optional<OneShot<std::monostate>> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(driver_waits_);
  }
  if (waiting) waiting->set({});
}

// The reader runs on at once, inside the driver, where both share a thread: one hop less for each
// update.
void StreamCore::wake_reader() {
  std::optional<OneShot<ReaderWake>> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(reader_waits_);
  }
  if (waiting) waiting->set_inline(ReaderWake::looks);
}

void StreamCore::end(Error error) {
  std::optional<OneShot<FirstOutcome>> first;
  {
    std::lock_guard lock(mutex_);
    if (!closed_ && !ended_) ended_ = error;
    if (std::exchange(statistics_.connected, false) && meters()) meters()->open.add(-1);
    first.swap(first_outcome_);
  }
  if (first) first->set(stream::failed_to_connect(std::move(error)));
  wake_reader();
}

void StreamCore::note_attempt() {
  std::lock_guard lock(mutex_);
  ++statistics_.attempts;
  ++dispatches_;
}

void StreamCore::note_dispatch_ended() {
  {
    std::lock_guard lock(mutex_);
    --dispatches_;
  }
  wake_driver();
}

void StreamCore::note_connected(bool resumed) {
  std::optional<OneShot<FirstOutcome>> first;
  {
    std::lock_guard lock(mutex_);
    first.swap(first_outcome_);
    ++statistics_.connections;
    if (resumed) ++statistics_.resumed;
    if (!closed_) {
      connected_at_ = options_.env.clock->now();
      statistics_.connected = true;
      if (meters()) meters()->open.add(1);
      if (meters()) meters()->connected.add();
      log_.connected(resumed ? "connected, resumed" : "connected");
    }
  }
  log_.deliver();
  if (first) first->set(FirstOutcome());
}

std::optional<Error> StreamCore::note_lost(const Error& reason, bool brought) {
  const bool permanent = says_permanent(options_.is_permanent, reason, options_.name);
  std::optional<Error> last;
  {
    std::lock_guard lock(mutex_);
    ++statistics_.lost;
    if (closed_) return std::nullopt;
    if (std::exchange(statistics_.connected, false) && meters()) meters()->open.add(-1);
    log_.lost(ConnectionLog::Cause::connection, reason.to_string());
    const bool in_vain = !brought && !has_lasted() && reason.kind() != ErrorKind::closed;
    if (!in_vain) failures_in_a_row_ = 0;
    if (in_vain || permanent) last = count_failure(reason, permanent);
  }
  log_.deliver();
  return last;
}

bool StreamCore::note_failed(const stream::DispatchFailure& failure) {
  const bool permanent =
      failure.permanent || says_permanent(options_.is_permanent, failure.error, options_.name);
  std::optional<Error> last;
  std::optional<OneShot<FirstOutcome>> first;
  {
    std::lock_guard lock(mutex_);
    if (meters()) meters()->failed.add();
    first.swap(first_outcome_);
    log_.failed(failure.error);
    last = count_failure(failure.error, permanent);
  }
  log_.deliver();
  if (first) {
    first->set(tl::unexpected<stream::DispatchFailure>(failure));
    last = failure.error;  // there is no stream, so there is no second attempt
  }
  if (!last) return true;
  end(std::move(*last));
  return false;
}

bool StreamCore::has_lasted() const {
  return connected_at_ != kNever &&
         options_.env.clock->now() - connected_at_ >= options_.retry.healthy_after;
}

std::optional<Error> StreamCore::count_failure(const Error& failure, bool permanent) {
  ++failures_in_a_row_;
  if (permanent) {
    log_.given_up("this error is permanent: " + failure.to_string());
    return failure;
  }
  if (options_.attempt_limit == 0 || failures_in_a_row_ < options_.attempt_limit) {
    return std::nullopt;
  }
  log_.given_up("attempt_limit is reached");
  return Error(ErrorKind::exhausted, Limit{"attempt_limit", options_.attempt_limit},
               options_.name + ": attempt_limit (" + std::to_string(options_.attempt_limit) +
                   ") is reached; the last failure: " + failure.to_string());
}

void StreamCore::note_batch(std::size_t updates) {
  std::lock_guard lock(mutex_);
  if (meters()) meters()->updates.add(updates);
  ++statistics_.batches;
  statistics_.updates += updates;
}

void StreamCore::note_gap(std::size_t dropped) {
  std::lock_guard lock(mutex_);
  if (meters()) meters()->dropped.add(dropped);
  ++statistics_.gaps;
  statistics_.dropped_updates += dropped;
}

Duration StreamCore::next_delay() {
  std::lock_guard lock(mutex_);
  const bool lasted = has_lasted();
  connected_at_ = kNever;
  if (SEMPER_MUTANT("stream_reconnects_without_a_pause")) return Duration(1);
  if (options_.resubscribe_delay) return *options_.resubscribe_delay;
  if (lasted) pauses_.reset();
  return pauses_.next();
}

}  // namespace semper::internal
