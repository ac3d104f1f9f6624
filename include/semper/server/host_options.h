// HostOptions, ServeOptions: how a Host (server/host.h) works. The defaults suit most programs.
//
//   semper::Host host(store, {.threads = 4, .name = "billing"});
//
// When not: what a store can take is the store's to say (store/limits.h), not an option of its hosts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "semper/env/asio.h"
#include "semper/env/backoff.h"

namespace semper {

namespace metrics {
class Registry;  // base/metrics.h
}  // namespace metrics

struct HostOptions {
  // Threads for callbacks. Default: one. More pays where callbacks compute for long.
  std::size_t threads = 1;

  // Threads for handle_locked, which may block for as long as it likes: so many at a time, further ones
  // wait, their locks renewed all the same. Started by the first lock. Default: four.
  std::size_t locked_threads = 4;

  // Where everything of the host runs instead of on threads of its own: its coroutines, callbacks,
  // handle_locked, the renewal of locks. Default: none. A simulation gives its loop here. Whoever gives
  // another executor keeps a thread of it free: while handle_locked blocks all of them, its lock is not
  // renewed, and another host takes it.
  Executor executor = {};

  // Decoded states kept in memory, least recently used ones dropped first: entities and bytes (of
  // their encodings). Raise them where states are read again and again.
  std::size_t cache_entities = 10'000;
  std::size_t cache_bytes = 64u << 20;

  // Entities whose queues are worked on at the same time. Where more wait they take turns.
  std::size_t active_entities = 256;

  // Messages, and time in callbacks, of one transaction; the store's limits cut too.
  std::size_t batch_messages = 1'000;
  Duration batch_time = std::chrono::milliseconds(50);

  // Runs of a message that fails, alone, or that end their process, before it is set aside; and the
  // waits between them. One that ended its process unsuspected runs once more.
  int message_attempts = 3;
  BackoffOptions message_backoff = {.initial = std::chrono::milliseconds(10),
                                    .maximum = std::chrono::seconds(1)};

  // A message that this program has no callback for, first in its queue, waits so long for a host that
  // has one, as this host sees it wait (a host that is started anew begins anew), and then becomes a dead
  // letter. Longer than a rolling upgrade takes. Zero: it is refused, or set aside, at once.
  Duration unknown_message_wait = std::chrono::minutes(10);

  // A lock of this host that it did not renew for this long is taken over. Renewed three times as
  // often, on a thread that no callback blocks. Other hosts go by it, whatever theirs is.
  Duration lock_lease = std::chrono::seconds(5);

  // This host is taken for dead when it did not renew its registration for this long. Renewed three
  // times as often. Shorter finds dead hosts sooner and writes more. Others go by it, whatever theirs is.
  Duration host_lease = std::chrono::seconds(3);

  // Shown to people; default: process name and number.
  std::string name;

  // Where this host's counts are shown, by type (docs/operations.md). Outlives the host; hosts may share
  // one. Default: only Host::statistics().
  metrics::Registry* metrics = nullptr;
};

struct ServeOptions {
  // false: this process only runs the messages it sends itself and priority messages; it takes
  // nothing from the queues that others fill.
  enum class Consume : std::uint8_t { yes, no } consume = Consume::yes;
};

}  // namespace semper
