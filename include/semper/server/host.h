// Host: makes this process run the durable servers of some types.
//
//   semper::Host host(store);                      // or host(tenant, options)
//   host.serve<Counter>();                         // with a default-constructed Counter
//   host.serve(std::make_shared<Shop>(config));    // with your own object
//   SEMPER_CO_TRY_STATUS(co_await host.start());   // finds waiting work
//   ...
//   SEMPER_CO_TRY_STATUS(co_await host.stop());    // finishes running work, leaves the rest
//
// What for: processes that run callbacks. When not: a process that only sends needs no host.
//
// Any number of hosts, in any number of processes, may serve the same type. They divide the
// entities among themselves by rendezvous hashing over the live hosts. This is only a preference
// that saves work; correctness comes from transactions alone. If a host dies, the others take over
// its share after HostOptions::host_lease.
//
// serve() takes effect at once for calls and casts made in this process, and with start() for
// messages that others enqueue. Idle entities take no memory.
//
// Threads: any. Callbacks run on the host's own threads and, for calls and casts of this process
// that need no queue, on the calling thread, one at a time per entity. handle_locked has its own
// threads (locked_threads), so it may block. Ownership: the host must outlive the calls made
// through it. Its destructor waits for the callbacks and handle_locked that are running on the
// host's threads, without a bound, and so must not run on one of those (an assertion ends the
// program); everything else ends as if the process were killed. Source of the idea: dgen's
// consumers; QuiCK (SIGMOD 2021) for the sharded index of work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "semper/server/behaviour.h"
#include "semper/server/entity_id.h"
#include "semper/server/host_options.h"
#include "semper/server/internal/behaviour_of.h"

namespace semper {

struct HostStatistics {
  std::uint64_t messages = 0;      // processed and committed
  std::uint64_t transactions = 0;  // committed
  std::uint64_t conflicts = 0;     // attempts that lost to another host or process
  std::uint64_t failures = 0;      // runs of messages that failed, for whatever reason
  std::uint64_t dead_letters = 0;  // messages set aside
  std::uint64_t parked = 0;        // states that cannot be decoded
  std::uint64_t cached_entities = 0;
  std::uint64_t cached_bytes = 0;
  std::uint64_t cache_misses = 0;
  std::uint64_t locks = 0;      // handle_locked calls that are running
  std::uint64_t takeovers = 0;  // locks taken from holders that were gone
  // How often entities were left to newer hosts.
  std::uint64_t left_alone = 0;
  std::uint64_t expired = 0;  // entities removed because nobody sent them anything (kExpireAfter)
  std::uint64_t ticks = 0;    // ticks of timers, delivered or put into queues
  // For how long, at least, the oldest message has waited in the queues that this host has looked
  // at and has not emptied: docs/operations.md, "The age of a message".
  Duration oldest_message{};
  // How often entities had to wait for a limit of their type (kRateLimit, kConcurrencyLimit).
  std::uint64_t limited = 0;
};

class Host {
 public:
  // Does not serve anything yet. If the store failed to open, throws ErrorException (base/value.h)
  // with that error, so Host(co_await open_store(...)) always has a store.
  explicit Host(Tenant tenant, HostOptions options = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Call it once for each type. Throws std::logic_error, and changes nothing, if this host already
  // serves the type, if a host of this process serves another behaviour of the same name on this
  // store, or if the name is invalid (EntityId).
  template <BehaviourType B>
  void serve(ServeOptions options = {}) {
    serve(std::make_shared<B>(), options);
  }
  template <BehaviourType B>
  void serve(std::shared_ptr<B> behaviour, ServeOptions options = {}) {
    serve_untyped(std::make_shared<internal::BehaviourOf<B>>(std::move(behaviour)), options);
  }

  // Registers the host and its types in the store and begins to consume. Success: done, durably.
  // Errors: closed, io, outcome_unknown (call again). Later serve() calls take effect too.
  Async<void> start();

  // Takes no new work, lets running transactions and handle_locked finish (requesting their stop
  // token), and removes the registration from the store; waits for that for at most
  // HostOptions::stop_patience. Success: nothing of this host runs any more, and what ran is
  // committed. If it never returns: as if the process were killed. Errors:
  //   timeout   a callback or handle_locked is still running. It runs on: its lock is renewed, and
  //             its result is committed or refused as always. Call stop() again to wait for it, or
  //             destroy the host, which waits too; or end the process, and another host handles the
  //             message again.
  //   others    the one with which the host had ended by itself: see join()
  Async<void> stop();
  Async<void> close() { return stop(); }  // the same under the name that other handles have for it

  // Waits until the host has ended. Success: it was stopped. Error: it ended by itself because its
  // store has failed for good (its file was deleted, its disk failed, it was closed); every
  // operation on that store gets the same error. Fix the cause and restart the program, or open the
  // store again and create another host. Any number of callers may wait.
  //
  //   SEMPER_CO_TRY_STATUS(co_await host.join());    // in a program that only serves
  Async<void> join();

  HostStatistics statistics() const;
  const std::string& name() const;

 private:
  class Impl;
  void serve_untyped(std::shared_ptr<internal::Behaviour> behaviour, ServeOptions options);
  std::shared_ptr<Impl> impl_;
};

}  // namespace semper
