// StreamOptions: how a stream reconnects, how much it buffers for a slow reader, and when it ends.
//
// What for: stream.h. When not: values without updates; DurableOptions (durable_options.h).
//
//   semper::StreamOptions options;
//   options.name = "prices";
//   options.when_full = semper::WhenFull::fresh_state;
//
// Threads: values; the functions in them run on the stream's strand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "semper/base/bytes.h"
#include "semper/base/metrics.h"
#include "semper/durable/retry.h"

namespace semper {

// What happens when the reader is slower than the updates and the buffer is full.
enum class WhenFull : std::uint8_t {
  // Nothing more is read until there is room, so the transport's flow control slows the other side
  // down.
  back_pressure,
  // StateStream only. The updates in the buffer are dropped: Gap (with their number),
  // LostConnection (exhausted), and once the reader has caught up, a new connection with a fresh
  // State.
  fresh_state,
  // The stream ends: next() gives what is in the buffer, then the error `exhausted`.
  fail,
};

struct StreamOptions {
  // Used in messages, and as the label `name` of metrics.
  std::string name = "stream";
  Env env = Env();
  // A fixed delay from a failure or a loss to the next attempt. Default: none; `retry` decides.
  std::optional<Duration> resubscribe_delay = std::nullopt;
  // Delays that grow, with jitter, so that the thousand streams of one server do not come back
  // together (retry.h). Default: from 0.5 s to 10 s.
  RetryOptions retry{.initial = std::chrono::seconds(1)};
  // How long a dispatch may take; then it is cancelled, and the event is FailedToConnect(timeout).
  // Default: forever. While kDispatchesAtOnce dispatches that ignore their cancellation still run,
  // no new one begins.
  Duration dispatch_deadline = kForever;
  // The maximum number of updates in the buffer. With back-pressure, the last batch may exceed it.
  std::size_t max_buffered_updates = 1024;
  // The maximum number of other events in the buffer (at least 4). When it is reached,
  // WhenFull::fail fails; the other policies make no further attempt until the reader has read.
  std::size_t max_buffered_events = 64;
  WhenFull when_full = WhenFull::back_pressure;
  // Consecutive failures after which the stream ends. A connection that an error cuts off before it
  // delivers anything counts as one, unless it lasted (RetryOptions::healthy_after). Default 0: no
  // limit.
  std::uint32_t attempt_limit = 0;
  // Errors of a dispatch, or reasons of a loss, after which the stream ends; see
  // is_permanent_error. Default: only those that the dispatch function itself marks. If it throws,
  // that is logged, and the error is not permanent.
  std::function<bool(const Error&)> is_permanent = nullptr;
  // Where an earlier stream's last batch ended, to continue from there.
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

}  // namespace semper
