// What a stream does, with the types of its events forgotten: BasicStream and its driver are
// templates over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "semper/durable/internal/connection_log.h"
#include "semper/durable/internal/pace.h"
#include "semper/durable/stream_events.h"
#include "semper/durable/stream_options.h"
#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/env/internal/cancellable.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

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

  const ForkGuard fork_{};  // in a child nobody drives it
  const StreamOptions options_;
  Gate driver_gate_;
  const std::shared_ptr<Cancellable> driver_ = std::make_shared<Cancellable>();

  mutable std::mutex mutex_;
  bool closed_ = false;
  std::optional<Error> ended_;
  enum class ReaderWake : std::uint8_t { looks, was_replaced };
  std::optional<OneShot<ReaderWake>> reader_waits_;
  std::uint64_t last_wait_ = 0;  // of a reader
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

}  // namespace semper::internal
