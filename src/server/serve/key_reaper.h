// KeyReaper: forgets idempotency keys whose retention is over.
//
// One coroutine per type that has had timers or keys looks at the type's expiry index, every
// kKeysLook, and takes what is over away, in transactions of bounded size. Nobody waits for it: who
// meets a key that is over takes it for absent. Shards that another host prefers are left to it.
//
// One that a newer program wrote is left to its hosts, with its entry.
//
// Bounds: kKeysReapedPerTransaction, and half of the store's limits. Over is what this host's
// calendar says.
#pragma once

#include <cstdint>
#include <memory>

#include "server/serve/membership.h"
#include "server/serve/served_type.h"

namespace semper::internal {

inline constexpr std::size_t kKeysReapedPerTransaction = 256;
inline constexpr Duration kKeysLook = std::chrono::seconds(30);

class KeyReaper {
 public:
  // Until the host stops.
  static Task<void> run(std::shared_ptr<ServedType> type, std::shared_ptr<Membership> membership);

 private:
  static Async<bool> has_keys(ServedType& type);
  static Async<void> reap(ServedType& type, std::uint32_t shard);
  // Those in the range. Returns where the rest of it begins.
  static Async<Bytes> reap_some(ServedType& type, Transaction& transaction, const KeyRange& over);
};

}  // namespace semper::internal
