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

#include "semper/server/behaviour.h"
#include "semper/server/entity_id.h"
#include "semper/server/host_options.h"
#include "semper/server/internal/behaviour_of.h"

namespace semper {

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
  // Looks at entities that were left to hosts that know more.
  std::uint64_t left_alone = 0;
};

class Host {
 public:
  // Not yet serving anything. Throws ErrorException (base/value.h) with the error of a store that did
  // not open: Host(co_await open_store(...)) is never a host of nothing.
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
