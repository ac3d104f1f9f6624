// NameRegistry: names that at most one live owner holds, in a store: leader election, singletons,
// who is where.
//
// What for: one process of many does something (the leader of a job, the owner of a port or of a
// shard), and others find out which one, and when it changes. When not: one message after another
// for each of many entities (a durable server has one consumer at a time already), or work under an
// entity's lock (handle_locked).
//
//   semper::NameRegistry names(store, {.owner = "billing on host-7"});
//   SEMPER_CO_TRY(auto leader, co_await names.campaign("billing/leader"));    // waits for its turn
//   while (!leader.lost().stop_requested()) {
//     auto work = [&](semper::Transaction& tx) -> semper::Async<void> {
//       SEMPER_CO_TRY_STATUS(co_await leader.guard(tx));      // applied only while it is held
//       ...
//     };
//     SEMPER_CO_TRY_STATUS(co_await store->transact(work));
//   }
//   SEMPER_CO_TRY_STATUS(co_await names.close());                // gives everything back at once
//
// Who counts as alive. A registry that holds or waits for names has one row in the store, with its
// lease in it, that it renews three times per lease, however many names it holds. Others measure
// with their own steady clocks for how long they saw that row stand still; nobody compares
// calendars. Who has not renewed for its lease is taken for dead by whichever registry in use looks
// first, and loses all its names. The owner ends its holdings by itself before that, after nine
// tenths of its lease without a renewal that succeeded: a difference in the speed of two machines'
// clocks of up to a tenth does no harm.
//
// A process may stop at any point, and go on later without knowing (a pause, a page fault, a
// suspended machine). So no lease alone keeps two owners from acting at once. What does:
//   in this store   guard(transaction): it commits only if the name is held at the commit.
//   elsewhere       token(): grows with each holding of a name. Hand it along with each order;
//                   the receiver refuses one that is smaller than one it has seen.
//
// Durable: a holding is, on success of campaign() and acquire(). Where they never return, or with
// outcome_unknown, it may be there for a moment: it is given back in the background, or with the
// lease.
// A name that its holder does not release is free again after at most the lease and two looks of
// another registry in use (a third of a lease each, at least 20 ms).
//
// Errors of all: invalid_argument (a name or metadata past their bounds), closed (the registry was
// closed or destroyed), unsupported (made before a fork), and the store's.
//
// Never make options, metadata or queries with braces inside the co_await: g++ 12 destroys their
// members twice. Name them first.
//
// Threads: any. The registry has one thread of its own, on which stop callbacks of lost() run (or
// on that of the call that ends the holding): keep them short. Ownership: it must outlive the calls
// made through it; a Holding may outlive it, and is lost with it. The destructor does not wait for
// the store: what was not closed is free after the lease. Not to be destroyed in a callback of
// lost().
// Source of the idea: Chubby's locks with sequencers, ZooKeeper's recipe for elections (each one
// watches the one before it, so that a change wakes one, not all), etcd's concurrency package,
// Consul's sessions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "semper/env/asio.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/names.h"
#include "semper/server/name_options.h"
#include "semper/store/transaction.h"

namespace semper {

// A name that this process holds. Move only (one that was moved from may be assigned or destroyed);
// its end releases the name, in the background.
class Holding {
 public:
  explicit Holding(std::shared_ptr<internal::NameHolding> holding);
  Holding(Holding&&) noexcept;
  Holding& operator=(Holding&&) noexcept;
  ~Holding();

  const std::string& name() const;

  // Greater than that of each holding of this name before.
  std::uint64_t token() const;

  // By this process's own clock, without a look at the store: false as soon as another one may hold
  // the name, also where nothing has run here meanwhile. True is a moment's truth: see guard().
  bool is_held() const;

  // Stop is requested as soon as this process knows that it does not hold the name any more: its
  // lease has run out, it was released, or the registry ended.
  std::stop_token lost() const;

  // To be called in a transaction of the same store, at any point: it then commits only if this
  // name is held by this holding at the commit. Costs one read. Errors: closed (it is not held any
  // more: do nothing, step down; the transaction is not to be run again), and those of
  // Transaction::get.
  Async<void> guard(Transaction& transaction) const;

  // Replaces the metadata. Errors besides: closed (not held any more). outcome_unknown: call again.
  Async<void> set_metadata(NameMetadata metadata) const;

  // Gives the name back, so that the next one has it at once; from the call on it is not held here.
  // Success: it is free. Error closed: it was lost before. Another error: it is free soon, or after
  // the lease.
  Async<void> release();

 private:
  std::shared_ptr<internal::NameHolding> holding_;
};

// Follows who holds one name. It may outlive no store; one next() at a time.
class NameWatch {
 public:
  NameWatch(std::shared_ptr<internal::NamesOffice> office, std::string name);

  // Who holds the name, or nothing where nobody does: at once the first time, then when the holder
  // or its metadata differ from what was returned last. Changes in between may be passed over; the
  // last one is not. A wake-up that gets lost is made up for after kNamesLook. Error besides:
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
  // Uses the store from the first operation on. Throws ErrorException (base/value.h) with the error
  // of a store that did not open.
  explicit NameRegistry(Tenant tenant, NameRegistryOptions options = {});
  ~NameRegistry();
  NameRegistry(const NameRegistry&) = delete;
  NameRegistry& operator=(const NameRegistry&) = delete;

  // The name, now or not at all. Errors besides: already_exists (it is held, or others wait for it:
  // campaign), exhausted (kNamesHeldMaximum), outcome_unknown (call again, or look).
  Async<Holding> acquire(std::string name);
  Async<Holding> acquire(std::string name, NameMetadata metadata);

  // Waits until the name is held: in the order of asking, whatever process asks. One that was taken
  // for dead meanwhile begins at the end. What the store cannot do for a while is tried again. A
  // cancelled or timed out campaign leaves its place, in the background. Errors besides: timeout,
  // exhausted (kCandidatesMaximum, kNamesHeldMaximum).
  Async<Holding> campaign(std::string name);
  Async<Holding> campaign(std::string name, CampaignOptions options);

  // As lookup_name; and from now on this registry notices holders that die.
  Async<std::optional<NameView>> lookup(std::string name);
  NameWatch watch(std::string name);

  // Releases all names, ends the campaigns, takes the row out of the store. Success: others can
  // have the names at once. Error: the store's; they can after the lease.
  Async<void> close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Who holds the name, as the store has it: one that has died is shown until a registry in use has
// noticed.
Async<std::optional<NameView>> lookup_name(Tenant tenant, std::string name);

struct NameQuery {
  NameMetadata where;       // only holders whose metadata has all of these
  std::string prefix;       // only names that begin so
  std::string after;        // only names after this one
  std::size_t limit = 100;  // at most kNamesPerPageMaximum
};

struct NamePage {
  std::vector<NameView> names;  // by name
  // Where the next page begins (NameQuery::after); nothing: this was the last one. A page may be
  // short, or empty, and not the last.
  std::optional<std::string> next;
};

// The names that are held. With `where`, by an index: costs what the first of its fields finds.
Async<NamePage> list_names(Tenant tenant, NameQuery query);

}  // namespace semper
