// HostOptions, ServeOptions: settings of a Host (server/host.h). The defaults suit most programs.
//
//   semper::Host host(store, {.threads = 4, .name = "billing"});
//
// When not: the limits of a store are set by the store (store/limits.h), not by its hosts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "semper/env/asio.h"
#include "semper/env/backoff.h"

namespace semper {

class SpanBuffer;  // env/spans.h

namespace metrics {
class Registry;  // base/metrics.h
}  // namespace metrics

struct HostOptions {
  // Threads for callbacks. Default: one. More help if callbacks do much computing.
  std::size_t threads = 1;

  // Threads for handle_locked, which may block for as long as it likes. This many run at a time;
  // further ones wait, and their locks are still renewed. The first lock starts the threads.
  // Default: four.
  std::size_t locked_threads = 4;

  // If set, everything of the host runs here instead of on its own threads: its coroutines,
  // callbacks, handle_locked and the renewal of locks. Default: none. A simulation passes its loop
  // here. With any other executor, keep one of its threads free: while handle_locked blocks all of
  // them, its lock is not renewed, and another host takes it.
  Executor executor = {};

  // Bounds of the cache of decoded states: entities, and bytes of their encodings. The least
  // recently used states are dropped first. Raise the bounds if the same states are read again and
  // again.
  std::size_t cache_entities = 10'000;
  std::size_t cache_bytes = 64u << 20;

  // Entities whose queues are processed at the same time. If more wait, they take turns.
  std::size_t active_entities = 256;

  // Maximum messages, and time in callbacks, of one transaction; the store's limits apply too.
  std::size_t batch_messages = 1'000;
  Duration batch_time = std::chrono::milliseconds(50);

  // How often a message that fails, or crashes its process, runs before it is set aside, and the
  // pauses between the runs. A crash that is not yet suspected does not count, so such a message
  // runs once more.
  int message_attempts = 3;
  BackoffOptions message_backoff = {.initial = std::chrono::milliseconds(10),
                                    .maximum = std::chrono::seconds(1)};

  // How long a message that this program has no callback for waits at the head of its queue for a
  // host that has one, before it becomes a dead letter. This host counts only the time during which
  // it saw the message wait; after a restart it counts from zero. Set it longer than a rolling
  // upgrade takes. Zero: the message is refused, or set aside, at once.
  Duration unknown_message_wait = std::chrono::minutes(10);

  // A lock of this host that it has not renewed for this long is taken over. The host renews it
  // three times per lease, on a thread that no callback blocks. Other hosts use this value,
  // whatever their own is.
  Duration lock_lease = std::chrono::seconds(5);

  // This host is considered dead if it has not renewed its registration for this long. It renews it
  // three times per lease. A shorter lease finds dead hosts sooner, and writes more. Other hosts
  // use this value, whatever their own is.
  Duration host_lease = std::chrono::seconds(3);

  // How long Host::stop() waits for what is running; after that it returns `timeout`
  // (server/host.h). Default: a minute. Set it below the time that your supervisor gives a process
  // to end, and longer than your longest handle_locked takes to notice its stop token. kForever:
  // until all has ended.
  Duration stop_patience = std::chrono::minutes(1);

  // For people to read. Default: process name and number.
  std::string name;

  // A registry for this host's counters, by type (docs/operations.md). It must outlive the host;
  // hosts may share one. Default: none, only Host::statistics().
  metrics::Registry* metrics = nullptr;

  // Where the spans of traced messages go (env/spans.h): of their waiting, their callbacks and
  // their commits. It must outlive the host; hosts may share one. Default: none; traces are carried
  // on all the same.
  SpanBuffer* spans = nullptr;
};

struct ServeOptions {
  // no: this process runs only the messages it sends itself, and priority messages; it takes
  // nothing from the queues that others fill.
  enum class Consume : std::uint8_t { yes, no } consume = Consume::yes;
};

}  // namespace semper
