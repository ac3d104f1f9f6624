// StreamCore: what the streams of stream.h do that does not depend on their types.
//
// What for: BasicStream is a template over it. When not: never used directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "semper/base/metrics.h"
#include "semper/durable/cancellable.h"
#include "semper/durable/connection_log.h"
#include "semper/durable/retry.h"
#include "semper/durable/stream_events.h"
#include "semper/env/gate.h"

namespace semper {

// What happens when the reader is slower than the updates and the buffer is full.
enum class WhenFull : std::uint8_t {
  // Nothing is pulled until there is room: the transport's own flow control slows the other side.
  back_pressure,
  // StateStream only. The updates in the buffer are dropped: Gap (with their number),
  // LostConnection (exhausted), and once the reader has caught up, a new connection with a fresh
  // State.
  fresh_state,
  // The stream ends: next() gives what is in the buffer, then the error `exhausted`.
  fail,
};

struct StreamOptions {
  // Stands in messages and as the label `name` of metrics.
  std::string name = "stream";
  Env env = Env();
  // From a failure or a loss to the next attempt, always so long. Default: as `retry` says.
  std::optional<Duration> resubscribe_delay = std::nullopt;
  // Delays that grow, with jitter, so that the thousand streams of one server do not come back
  // together (retry.h). Default: from 0.5 s to 10 s.
  RetryOptions retry{.initial = std::chrono::seconds(1)};
  // How long a dispatch may take; then it is a FailedToConnect(timeout), and cancelled. Default:
  // for ever. While kDispatchesAtOnce that do not heed their cancellation still run, none is begun.
  Duration dispatch_deadline = kForever;
  // Updates in the buffer, at most. With back-pressure the last batch may go over it.
  std::size_t max_buffered_updates = 1024;
  // Other events in the buffer, at most (4 or more). When they are full: WhenFull::fail fails, the
  // other policies make no further attempt until the reader has read.
  std::size_t max_buffered_events = 64;
  WhenFull when_full = WhenFull::back_pressure;
  // Failures in a row after which the stream ends; a connection that an error cuts off before it
  // has brought anything is one, unless it lasted (RetryOptions::healthy_after). Default 0: no
  // limit.
  std::uint32_t attempt_limit = 0;
  // Errors of a dispatch, or reasons of a loss, after which the stream ends; see
  // is_permanent_error. Default: only those that the dispatch function itself marks. If it throws,
  // that is logged, and the error is not permanent.
  std::function<bool(const Error&)> is_permanent = nullptr;
  // Where an earlier stream's last batch ended, to go on from there.
  std::optional<Bytes> resume_after = std::nullopt;
  // Must outlive the stream.
  metrics::Registry* metrics = nullptr;
};

struct StreamStatistics {
  std::uint64_t attempts = 0;
  std::uint64_t connections = 0;  // attempts that succeeded
  std::uint64_t resumed = 0;      // of those, without a gap
  std::uint64_t lost = 0;
  std::uint64_t gaps = 0;
  std::uint64_t batches = 0;
  std::uint64_t updates = 0;
  std::uint64_t dropped_updates = 0;  // by WhenFull::fresh_state
  std::size_t buffered_updates = 0;   // now
  std::size_t buffered_events = 0;    // now, the others
  bool connected = false;             // now, as far as the reader's side knows
};

namespace internal {

// What came to its end before join() returns is counted; see StreamOptions::dispatch_deadline.
inline constexpr std::size_t kDispatchesAtOnce = 4;
// Batches that a driver takes from a source, and events that a reader takes from the buffer,
// without waiting once; then others on its loop have their turn.
inline constexpr int kTurnsBeforeYield = 32;

// Invariant: nothing given to the stream that may end with it (the metrics) is touched once closed_
// is set; what is touched before that, is with the lock held.
class StreamCore {
 public:
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;

  StreamStatistics statistics() const;

 protected:
  explicit StreamCore(StreamOptions options);
  ~StreamCore();

  void close();

  enum class Room : std::uint8_t { updates, events, all, dispatch };
  bool has_room(Room room) const;  // with the lock held
  bool is_over() const;
  // Waits until there is room, or the stream is over.
  Task<void> wait_for_room(Room room);
  void wake_driver();
  void wake_reader();
  // next() gives this error when the buffer is empty. The first end stays.
  void end(Error error);

  // What the driver notes; each takes the lock.
  void note_attempt();
  void note_dispatch_ended();
  void note_connected(bool resumed);
  // With what the stream is to end, where this loss is the last one allowed. `brought`: the
  // connection had a state or a batch.
  std::optional<Error> note_lost(const Error& reason, bool brought);
  // Ends the stream where this failure is the last one allowed. True: it goes on.
  bool note_failed(const stream::DispatchFailure& failure);
  void note_batch(std::size_t updates);
  void note_gap(std::size_t dropped);
  Duration next_delay();

  static std::size_t weight_of_batch(std::size_t updates) { return updates == 0 ? 1 : updates; }

  const StreamOptions options_;
  Gate driver_gate_;
  const std::shared_ptr<Cancellable> driver_ = std::make_shared<Cancellable>();

  mutable std::mutex mutex_;
  bool closed_ = false;
  std::optional<Error> ended_;
  std::optional<OneShot<std::monostate>> reader_waits_;
  std::optional<OneShot<std::monostate>> driver_waits_;
  Room driver_waits_for_ = Room::events;
  using FirstOutcome = tl::expected<void, stream::DispatchFailure>;
  std::optional<OneShot<FirstOutcome>> first_outcome_;
  StreamStatistics statistics_;
  ConnectionLog log_;

 private:
  struct Meters;

  // With the lock held.
  Meters* meters() const { return closed_ ? nullptr : meters_.get(); }
  bool has_lasted() const;
  // The error that ends the stream after one more failure, if it does.
  std::optional<Error> count_failure(const Error& failure, bool permanent);

  const std::unique_ptr<Meters> meters_;  // null: none wanted
  Pauses pauses_;
  MonotonicTime connected_at_ = kNever;
  std::uint32_t failures_in_a_row_ = 0;
  std::size_t dispatches_ = 0;  // that were begun and whose coroutine is there
};

}  // namespace internal
}  // namespace semper
