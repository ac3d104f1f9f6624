// Plan: one transaction as the committer keeps it: what must still hold, what it writes, what it
// costs.
//
// Conditions, for a transaction that began at a version whose revision is R:
//   a key that was there           it was not written since R, and it exists
//   a key that was not there       it was not written since R
//   a range without rows           nothing in it was written since R
//   a range with rows              nothing in it was written since R, and each row exists
// Where the rows are not known, or the conditions are more than etcd takes, the plan is to be
// validated: the committer reads again what the transaction read, and the condition is then a
// single one, that nobody has committed since.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "backends/etcd/effects.h"
#include "backends/etcd/layout.h"
#include "backends/etcd/messages.h"
#include "backends/etcd/read_memory.h"
#include "backends/etcd/version_map.h"
#include "semper/env/one_shot.h"

namespace semper::etcd {

// etcd's --max-txn-ops: conditions, or operations, of one level of a transaction and of all the
// levels above it together.
inline constexpr std::size_t kLevelOperations = 128;
// Of them a request's own level takes: its stamp and its lane, besides one for each transaction.
inline constexpr std::size_t kOwnOperations = 2;
inline constexpr std::size_t kCostMaximum = kLevelOperations - kOwnOperations - 1;
// Up to so many operations stand side by side; more are put into groups of groups, two levels
// further down, so that their number is bounded by bytes alone.
inline constexpr std::size_t kOperationsUngrouped = 24;
// Of an operation or a condition on the wire, besides its keys and values.
inline constexpr std::size_t kFramingBytes = 40;

struct Plan {
  CommitRequest request;
  KnownVersion begun;              // meaningless where nothing was read
  std::optional<Effects> effects;  // where they do not depend on the version
  Footprint footprint;
  std::vector<pb::Compare> conditions;
  bool to_validate = false;
  std::size_t cost = 0;  // levels taken, see kLevelOperations
  std::size_t bytes = 0;

  Effects effects_at(Version version) const {
    return effects ? *effects : effects_of(request.mutations, version);
  }
};

// How many groups of `count` operations stand side by side on each of three levels.
std::size_t group_size(std::size_t count);
// What `count` operations cost, all levels together.
std::size_t cost_of_operations(std::size_t count);

// Error: conflict (it began at a version that nobody remembers any more).
Result<Plan> make_plan(CommitRequest request, const VersionMap& versions, const ReadMemory& reads,
                       const Layout& layout);

}  // namespace semper::etcd
