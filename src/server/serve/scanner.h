// Scanner: finds the entities of one type that have work, through the sharded index.
//
// One coroutine per shard waits for the shard's counter to be touched, reads the index, and tells
// each entity's slot. It costs nothing per idle entity: those are not in the index. Shards that
// another host prefers are left to it, but for the entities there that it is too old for
// (left_alone.h), which the nearest host that knows more takes. A slow safety round
// (kSafetyInterval) looks again at what is still indexed: entities whose last attempt failed, or
// whose host died.
//
// Bound: HostOptions::active_entities slots at work for the scanners of one host. One that has had
// its turn (kBatchesPerTurn) gives way where others wait, and is found again in the next round, so
// that an entity waits for one turn of each that was there before, and no longer.
// Source of the idea: QuiCK: a queuing system in CloudKit, SIGMOD 2021.
#pragma once

#include <memory>

#include "server/serve/membership.h"
#include "server/serve/permits.h"
#include "server/serve/served_type.h"
#include "server/serve/waiting.h"

namespace semper::internal {

inline constexpr std::size_t kIndexRowsPerRead = 256;

class Scanner {
 public:
  // Scans one shard until the host stops.
  static Task<void> run(std::shared_ptr<ServedType> type, std::shared_ptr<Membership> membership,
                        std::shared_ptr<Permits> permits, std::uint32_t shard);

 private:
  struct Round {
    std::uint32_t shard = 0;
    Membership::Share share = Membership::Share::none;
    std::unique_ptr<Watch> watch;
    Duration until_next = kSafetyInterval;  // at most
  };
  static Async<void> scan(ServedType& type, Permits& permits, Round& round);
  // For how long this entity is left alone.
  static Duration left_alone(const ServedBehaviour& served, Membership::Share share,
                             const std::string& id, BytesView mark);
  // The same, because it waits for a limit of its type.
  static Duration throttled(const ServedBehaviour& served, const EntityId& id);
  struct Page {
    RangePage rows;
    Version version = 0;  // at which they were read
  };
  // A page of the index, and, where a key to watch is given, a watch on it.
  static Async<Page> read(HostCore& core, const KeyRange& rows, BytesView to_watch,
                          std::unique_ptr<Watch>& watch);
};

}  // namespace semper::internal
