// Membership: which hosts are alive, and which of them prefers which part of the work.
//
// Each host keeps a row that it renews three times per lease, its own HostOptions::host_lease,
// which is in the row. A host whose row was not seen to change for its lease counts as dead
// (lease.h), and its row is removed; one that was only slow writes it again. The shards of the
// index are given to the hosts of a type by rendezvous hashing; every host computes the same. Two
// hosts that disagree for a moment cost some conflicts, never correctness. No calendar is compared
// between machines.
//
// Threads: any. The rounds, and join(), which a program may call at any time, take turns.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "semper/store/transaction.h"
#include "server/format/lease.h"
#include "server/format/records.h"
#include "server/format/speech.h"
#include "server/serve/host_core.h"
#include "server/serve/news.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

class Membership : public std::enable_shared_from_this<Membership> {
 public:
  explicit Membership(std::shared_ptr<HostCore> core);

  // Writes this host's rows and learns the others'. With the types served from now on.
  using Types = std::map<std::string, std::shared_ptr<const ServedBehaviour>>;
  Async<void> join(Types types);
  // Renews and observes until the host stops; then takes the row away. After each renewal the host
  // does its housekeeping, too.
  static Task<void> run(std::shared_ptr<Membership> self,
                        std::function<Async<void>()> housekeeping);

  // Each shard is one host's. Where that one knows less than others (a lower version of the state,
  // not all of their messages), one of these takes from it what it marks as left alone.
  enum class Share : std::uint8_t { none, marked, all };
  Share share(const std::string& type, std::uint32_t shard) const;
  bool prefers(const std::string& type, std::uint32_t shard) const {
    return share(type, shard) == Share::all;
  }

  // Set when the living hosts have changed.
  News::Place next_change() { return changes_.next(); }

 private:
  struct Sighting {
    std::uint64_t renewals = 0;
    Duration changed{};  // by attention_
    Duration lease{};
    std::set<std::string> types;
    std::map<std::string, SpokenType> speech;  // none where it does not say, as hosts of 0.1.0
  };
  using Sightings = std::map<Bytes, Sighting>;

  // Null where the store refuses: the next look comes by its time.
  Task<std::unique_ptr<Watch>> watch_others();
  // One round.
  Async<void> look_around(bool renews);
  Async<void> renew();
  Async<void> observe();
  Async<Sightings> look_at_hosts(Transaction& transaction, Duration now) const;
  Async<void> look_at_speech(Transaction& transaction, Sightings& seen) const;
  Async<void> clear_version_times(Transaction& transaction, const Sightings& seen) const;
  Bytes saw(Version version) const;
  Bytes own_speech() const;
  void learn(Sightings seen);
  Duration until_next_look() const;
  Async<void> leave();
  // The store has failed for good: the host ends with that error.
  bool must_end(const Error& error);

  const std::shared_ptr<HostCore> core_;
  UnorderedTurns turns_;  // to work on what follows and on this host's row
  std::uint64_t renewals_ = 0;
  Attention attention_;

  mutable std::mutex mutex_;
  Types types_;
  Bytes spoken_;     // as written last
  Sightings hosts_;  // living ones, by key
  News changes_;
};

}  // namespace semper::internal
