// StreamOptions: how a stream connects again, how much it keeps for a slow reader, and when it ends.
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

}  // namespace semper
