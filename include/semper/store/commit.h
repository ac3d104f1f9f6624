// CommitRequest: what a transaction asks an engine to do, all of it or nothing.
//
// What for: implementing a Backend (store/backend.h). When not: applications write through a
// Transaction. Plain values; nothing here is durable by itself.
#pragma once

#include <cstdint>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/store/keys.h"

namespace semper {

// A store's count of its commits; a snapshot is the state after one of them. Grows, with gaps.
using Version = std::uint64_t;

struct Mutation {
  enum class Type : std::uint8_t {
    set,                      // key = value
    clear,                    // key is removed
    clear_range,              // key <= k < value is removed
    add,                      // 8-byte little-endian sum, wrapping; an absent value counts as 0, a
                              // value of another length is truncated or zero-extended to 8 bytes
                              // first
    set_versionstamped_key,   // 10 bytes of the key at stamp_offset become the commit's stamp
    set_versionstamped_value  // the same for the value
  };

  Type type = Type::set;
  Bytes key;
  Bytes value;
  std::uint32_t stamp_offset = 0;
};

// "I have seen this range as of my read version": the commit must fail with `conflict` if a later
// commit changed it.
struct ReadRecord {
  static constexpr std::uint64_t kRowsUnknown = ~std::uint64_t{0};

  KeyRange range;
  // How many keys the snapshot has in the range, for engines that can then detect a removal by
  // counting. kRowsUnknown only if BackendTraits::wants_row_counts is false.
  std::uint64_t rows = kRowsUnknown;
};

struct CommitRequest {
  // The version at which `reads` were seen. Meaningless if `reads` is empty.
  Version read_version = 0;
  std::vector<ReadRecord> reads;
  // Ranges that others must treat as written although no mutation writes them.
  std::vector<KeyRange> write_conflicts;
  // Applied in this order.
  std::vector<Mutation> mutations;
};

// The place of a commit in the order of all commits: its versionstamp is (version, batch). If
// BackendTraits::versions_are_commits, a transaction may begin at this version, and conflicts with
// everything that came after the commit.
struct CommitReceipt {
  Version version = 0;
  std::uint16_t batch = 0;
};

}  // namespace semper
