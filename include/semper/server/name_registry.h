// NameRegistry: names in a store that at most one live owner holds, for leader election, singletons
// and service discovery.
//
// What for: one process among many does something (the leader of a job, the owner of a port or of a
// shard), and others find out which one, and when it changes. When not: handling the messages of
// many entities, each in order (a durable server already has one consumer at a time), or work under
// an entity's lock (handle_locked).
//
//   semper::NameRegistry names(store, {.owner = "billing on host-7"});
//   SEMPER_CO_TRY(auto leader, co_await names.campaign("billing/leader"));    // waits for its turn
//   while (!leader.lost().stop_requested()) {
//     auto work = [&](semper::Transaction& tx) -> semper::Async<void> {
//       SEMPER_CO_TRY_STATUS(co_await leader.guard(tx));      // applied only while it is held
//       ...
//     };
//     SEMPER_CO_TRY_STATUS(co_await store.transact(work));
//   }
//   SEMPER_CO_TRY_STATUS(co_await names.close());                // gives everything back at once
//
// Who counts as alive. A registry that holds or waits for names has one row in the store, which
// contains its lease and which it renews three times per lease, however many names it holds. Others
// measure with their own steady clocks how long that row has not changed; wall clocks are never
// compared. A registry that has not renewed for its lease is declared dead by whichever registry in
// use checks first, and loses all its names. The owner itself gives up its holdings before that,
// after nine tenths of its lease without a successful renewal. So it does no harm if the clocks of
// two machines differ in speed by up to a tenth.
//
// A process may pause at any point and continue later without knowing it (a pause, a page fault, a
// suspended machine). So no lease alone keeps two owners from acting at the same time. These do:
//   in this store   guard(transaction): it commits only if the name is held at the commit.
//   elsewhere       token(): grows with each holding of a name. Pass it along with each request;
//                   the receiver refuses a token that is smaller than one it has seen.
//
// Durable: a holding is durable when campaign() or acquire() succeeds. If they never return, or
// return outcome_unknown, there may be a holding for a moment: it is released in the background, or
// when the lease expires.
// A name that its holder does not release is free again after at most the lease and two checks by
// another registry in use (a third of a lease each, at least 20 ms).
//
// Errors of all: invalid_argument (a name or metadata beyond their bounds), closed (the registry
// was closed or destroyed), unsupported (created before a fork), and the store's errors.
//
// Never build options, metadata or queries with braces inside the co_await: g++ 12 destroys their
// members twice. Name them first.
//
// Threads: any. The registry has one thread of its own. Stop callbacks of lost() run on it (or on
// the thread of the call that ends the holding), so keep them short. Ownership: the registry must
// outlive the calls made through it. A Holding may outlive it, but is lost with it. The destructor
// does not wait for the store: without close(), names become free after the lease. Do not destroy
// the registry in a callback of lost().
// Source of the idea: Chubby's locks with sequencers, ZooKeeper's recipe for elections (each
// candidate watches the one before it, so that a change wakes one, not all), etcd's concurrency
// package, Consul's sessions.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "semper/env/asio.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/names.h"
#include "semper/server/list_names.h"
#include "semper/server/name_holding.h"
#include "semper/server/name_options.h"

namespace semper {

// Follows who holds one name. It must not outlive the store. One next() at a time.
class NameWatch {
 public:
  NameWatch(std::shared_ptr<internal::NamesOffice> office, std::string name);

  // Who holds the name, or nothing if nobody does. Returns at once the first time, and then when
  // the holder or its metadata differ from the last result. Intermediate changes may be skipped,
  // but never the latest one. A lost wake-up is made good after kNamesLook. Additional error:
  // timeout.
  Async<std::optional<NameView>> next(Duration at_most = kForever);

 private:
  const std::shared_ptr<internal::NamesOffice> office_;
  const std::string name_;
  bool has_looked_ = false;
  std::optional<NameView> last_;
};

class NameRegistry {
 public:
  // Uses the store from the first operation on. If the store failed to open, throws ErrorException
  // (base/value.h) with that error.
  explicit NameRegistry(Tenant tenant, NameRegistryOptions options = {});
  ~NameRegistry();
  NameRegistry(const NameRegistry&) = delete;
  NameRegistry& operator=(const NameRegistry&) = delete;

  // Acquires the name now or not at all. Additional errors: already_exists (it is held, or others
  // wait for it: use campaign), exhausted (kNamesHeldMaximum), outcome_unknown (call again, or look
  // it up).
  Async<Holding> acquire(std::string name);
  Async<Holding> acquire(std::string name, NameMetadata metadata);

  // Waits until the name is acquired, first come, first served across all processes. A candidate
  // that was declared dead in the meantime starts again at the end. Transient failures of the store
  // are retried. A campaign that is cancelled or times out leaves the line in the background.
  // Additional errors: timeout, exhausted (kCandidatesMaximum, kNamesHeldMaximum).
  Async<Holding> campaign(std::string name);
  Async<Holding> campaign(std::string name, CampaignOptions options);

  // Like lookup_name; in addition, from now on this registry notices holders that die.
  Async<std::optional<NameView>> lookup(std::string name);
  NameWatch watch(std::string name);

  // Releases all names, ends the campaigns, and removes the registry's row from the store. Success:
  // others can acquire the names at once. Error: the store's; others can acquire them after the
  // lease.
  Async<void> close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper
