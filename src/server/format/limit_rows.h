// The rows of limits (serve/throttle.h): what is left of the rate of a limit key, who runs
// handle_locked of it, and which entities wait.
//
//   (18, type, key)               the bucket of kRateLimit; absent: full
//   (18, type, shard)             counter that is touched when a place of a key is given back
//   (18, type, key, 1, id)        a place of kConcurrencyLimit, held by that entity's lock
//   (18, type, -1), (18, type, -2), (18, type, -1, 1, id)   the bucket of kTypeRateLimit; the
//                                 counter and the places of kTypeConcurrencyLimit
//   (1, type, id, 10)             the entity waits for a limit: for people
//
// A bucket has no time in it. It holds so many tokens or more, from the commit that wrote it on:
// who looks at it adds what its own monotonic clock saw pass since it first read this bucket, which
// its number says. So no calendar, no restart and no clone of a store makes tokens; what nobody saw
// pass is lost.
//
// A place stands for as long as its entity has a lock. That is taken away in other ways, too (by an
// order, or by a program without the limit): then the row is left behind, and whoever finds no room
// looks, and takes it for free.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/transaction.h"
#include "server/format/keys.h"
#include "server/format/target.h"

namespace semper::internal {

// Of a token, in which buckets are counted.
inline constexpr std::uint64_t kTokenParts = 1'000'000;

struct RateBucket {
  std::uint64_t parts = 0;
  std::uint64_t number = 0;  // random, of the commit that wrote it

  Bytes encode() const;
  static Result<RateBucket> decode(BytesView bytes);
};

class LimitKeys {
 public:
  LimitKeys(BytesView tenant_prefix, std::string_view type, std::string_view key);
  // Those of the whole type.
  static LimitKeys of_type(BytesView tenant_prefix, std::string_view type);

  const Bytes& bucket() const { return prefix_; }
  const Bytes& freed() const { return freed_; }
  Bytes place(std::string_view id) const;
  KeyRange places() const;

 private:
  LimitKeys(Bytes prefix, Bytes freed) : prefix_(std::move(prefix)), freed_(std::move(freed)) {}

  Bytes prefix_;
  Bytes freed_;
};

// The user's, as it is written: text of at most kLimitKeyBytes.
std::string limit_key_in_store(std::string key);
// The id at the end of a place's key.
Result<std::string> id_of_place(BytesView tenant_prefix, BytesView key);

// Rows of one limit key, at most: kConcurrencyLimitMaximum and some that were left behind.
inline constexpr std::size_t kPlacesMaximum = 2'000;

// Ids of entities whose rows are places, up to `most`.
Async<std::vector<std::string>> read_places(Transaction& transaction, BytesView tenant_prefix,
                                            const LimitKeys& keys, std::size_t most, ReadMode mode);
// Whether the entity has a lock, by which it holds its place.
Async<bool> holds_place(Transaction& transaction, BytesView tenant_prefix, const EntityId& id);

// With the commit that takes the entity's lock. False: `most` others have one.
Async<bool> take_place(Transaction& transaction, const Target& target, const LimitKeys& keys,
                       int most);
// With the commit that gives the lock back.
void free_place(Transaction& transaction, const Target& target, const LimitKeys& keys);

// For people: until another message of the entity is done.
struct LimitNote {
  bool is_rate = false;
  std::string key;
  std::int64_t since_ms = 0;  // wall clock
  std::uint64_t popped = 0;   // of the entity then

  Bytes encode() const;
  static Result<LimitNote> decode(BytesView bytes);
};

}  // namespace semper::internal
