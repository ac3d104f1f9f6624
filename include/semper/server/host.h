// Host: makes this process serve durable servers of some types.
//
//   semper::Host host(store);                      // or host(tenant, options)
//   host.serve<Counter>();                         // with a default-made Counter
//   host.serve(std::make_shared<Shop>(config));    // with one of yours
//   SEMPER_CO_TRY_STATUS(co_await host.start());   // finds the work that waits
//   ...
//   SEMPER_CO_TRY_STATUS(co_await host.stop());    // finishes what runs, hands the rest to others
//
// Any number of hosts, in any number of processes, may serve the same type. They share the entities
// out among themselves by rendezvous hashing over the hosts that are alive; that is a preference
// that saves work, while correctness comes from transactions alone. A host that dies is missed
// after HostOptions::host_lease and the others take its share over.
//
// serve() takes effect at once for calls and casts made in this process, and with start() for what
// others enqueue. Idle entities take no memory. When not: a process that only sends needs no host.
//
// Threads: any. Callbacks run on the host's own threads and, for the calls and casts of this
// process that need no queue, on the calling thread; one at a time for one entity. handle_locked has
// threads of its own (locked_threads), so that it may block. Ownership: the
// host must outlive the calls made through it; its destructor stops without waiting for other
// processes. Source of the idea: dgen's consumers; QuiCK (SIGMOD 2021) for the sharded index of
// work.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "semper/env/scheduler.h"
#include "semper/server/behaviour.h"
#include "semper/server/entity_id.h"

namespace semper {

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

  // A lock of this host that it did not renew for this long is taken over. Renewed three times as
  // often, on a thread that no callback blocks. Other hosts go by it, whatever theirs is.
  Duration lock_lease = std::chrono::seconds(5);

  // This host is taken for dead when it did not renew its registration for this long. Renewed three
  // times as often. Shorter finds dead hosts sooner and writes more. Others go by it, whatever theirs is.
  Duration host_lease = std::chrono::seconds(3);

  // Shown to people; default: process name and number.
  std::string name;
};

struct ServeOptions {
  // false: this process only runs the messages it sends itself and priority messages; it takes
  // nothing from the queues that others fill.
  enum class Consume : std::uint8_t { yes, no } consume = Consume::yes;
};

struct HostStatistics {
  std::uint64_t messages = 0;      // processed and committed
  std::uint64_t transactions = 0;  // committed
  std::uint64_t conflicts = 0;     // attempts that lost against another host or process
  std::uint64_t failures = 0;      // runs of messages that failed, for whatever reason
  std::uint64_t dead_letters = 0;  // messages set aside
  std::uint64_t parked = 0;        // states that do not decode
  std::uint64_t cached_entities = 0;
  std::uint64_t cached_bytes = 0;
  std::uint64_t cache_misses = 0;
  std::uint64_t locks = 0;      // handle_locked running
  std::uint64_t takeovers = 0;  // locks taken from holders that were gone
};

class Host {
 public:
  // Not yet serving anything. An error inside the tenant is reported by start() and by every call.
  explicit Host(Tenant tenant, HostOptions options = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Once for each type. Throws std::logic_error, and changes nothing, where this host serves the type
  // already, where a host of this process serves another behaviour of the same name on this store, or
  // where the name cannot be one (EntityId).
  template <BehaviourType B>
  void serve(ServeOptions options = {}) {
    serve(std::make_shared<B>(), options);
  }
  template <BehaviourType B>
  void serve(std::shared_ptr<B> behaviour, ServeOptions options = {}) {
    serve_untyped(std::make_shared<internal::BehaviourOf<B>>(std::move(behaviour)), options);
  }

  // Registers the host and its types in the store and begins to consume. Success: done, durable.
  // Errors: closed, io, outcome_unknown (call again). serve() calls that come later take effect
  // too.
  Async<void> start();

  // Takes no new work, lets running transactions and handle_locked end (their stop token is
  // requested), takes the registration out of the store. Error: what the host had ended with by itself.
  Async<void> stop();

  // Waits until the host has ended. Success: it was stopped. Error: it ended by itself, because its store
  // has failed for good (its file was deleted, its disk failed, it was closed); everything asked of that
  // store gets the same. Make the cause good and start the program anew, or open the store again and
  // make another host. Any number may wait.
  //
  //   co_await host.join();        // in a program that serves, and does nothing else
  Async<void> join();

  HostStatistics statistics() const;
  const std::string& name() const;

 private:
  class Impl;
  void serve_untyped(std::shared_ptr<internal::Behaviour> behaviour, ServeOptions options);
  std::shared_ptr<Impl> impl_;
};

}  // namespace semper
