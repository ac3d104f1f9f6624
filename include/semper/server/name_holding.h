// Holding: a name that this process holds, from NameRegistry::acquire or campaign.
//
// When not: to see which process holds a name (NameRegistry::lookup, list_names.h). An example, who
// counts as alive, and how to keep two owners from acting at the same time: name_registry.h.
//
// Threads: any. Stop callbacks of lost() run on the registry's thread, or on that of the call that
// ends the holding: keep them short, and do not destroy the registry in one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "semper/base/stop.h"
#include "semper/env/asio.h"
#include "semper/server/internal/names.h"
#include "semper/server/name_options.h"
#include "semper/store/transaction.h"

namespace semper {

// Move-only (a moved-from object may be assigned or destroyed). The destructor releases the name in
// the background.
class Holding {
 public:
  explicit Holding(std::shared_ptr<internal::NameHolding> holding);
  Holding(Holding&&) noexcept;
  Holding& operator=(Holding&&) noexcept;
  ~Holding();

  const std::string& name() const;

  // Greater than that of any earlier holding of this name.
  std::uint64_t token() const;

  // By this process's own clock, without reading the store: false as soon as another process may
  // hold the name, even if nothing has run here in the meantime. True holds only for the moment:
  // see guard().
  bool is_held() const;

  // Stop is requested as soon as this process knows that it no longer holds the name: its lease has
  // expired, it was released, or the registry ended.
  StopToken lost() const;

  // Call it at any point in a transaction of the same store: the transaction then commits only if
  // this holding has the name at the commit. Costs one read. Errors: closed (the name is no longer
  // held: do nothing, step down, and do not run the transaction again), and those of
  // Transaction::get.
  Async<void> guard(Transaction& transaction) const;

  // Replaces the metadata. Additional errors: closed (no longer held). outcome_unknown: call again.
  Async<void> set_metadata(NameMetadata metadata) const;

  // Releases the name, so that the next candidate gets it at once; from the call on, it is not held
  // here. Success: it is free. Error closed: it was already lost. Any other error: it becomes free
  // soon, or after the lease.
  Async<void> release();

 private:
  std::shared_ptr<internal::NameHolding> holding_;
};

}  // namespace semper
