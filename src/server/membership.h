// Membership: which hosts are alive, and which of them prefers which part of the work.
//
// Each host keeps a row that it renews three times per HostOptions::host_lease. A host whose row
// did not change for a lease, by the observer's own clock, counts as dead, and its row is removed.
// The shards of the index are given to the hosts of a type by rendezvous hashing; every host
// computes the same. Two hosts that disagree for a moment cost some conflicts, never correctness.
//
// The same rounds remove sessions of callers that are gone, with the replies nobody fetched.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "host_core.h"
#include "news.h"
#include "records.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

class Membership : public std::enable_shared_from_this<Membership> {
 public:
  explicit Membership(std::shared_ptr<HostCore> core) : core_(std::move(core)) {}

  // Writes this host's row and learns the others'. With the types served from now on.
  Async<void> join(std::set<std::string> types);
  // Renews, observes and sweeps until the host stops; then takes the row away.
  static Task<void> run(std::shared_ptr<Membership> self);

  bool prefers(const std::string& type, std::uint32_t shard) const;

  // Set when the living hosts have changed.
  News::Place next_change() { return changes_.next(); }

 private:
  struct Sighting {
    std::uint64_t renewals = 0;
    MonotonicTime changed{};
    std::set<std::string> types;
  };

  Async<void> renew(Transaction& transaction);
  Async<void> observe();
  Async<void> observe_hosts(Transaction& transaction);
  Async<void> sweep_sessions(Transaction& transaction);
  Async<void> leave();

  const std::shared_ptr<HostCore> core_;
  std::uint64_t renewals_ = 0;

  mutable std::mutex mutex_;
  std::set<std::string> types_;
  std::map<Bytes, Sighting> hosts_;  // living ones, by key

  std::map<Bytes, Sighting> sessions_;
  News changes_;
};

// Waits until the watch fires, the host stops, `also` is set or the time is over, whichever is
// first.
Task<void> wait_for_news(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> also,
                         Duration at_most);

}  // namespace semper::internal
