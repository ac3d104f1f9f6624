// Effects: what the mutations of a transaction come to in the end.
//
// etcd refuses a transaction that writes a key twice, or writes into a range that it removes. So
// the mutations are applied in their order here, in memory, and what is left is written: each key
// once.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "backends/etcd/range_set.h"
#include "semper/store/backend.h"

namespace semper::etcd {

// The sum of Mutation::Type::add.
Bytes add_to_value(const std::optional<Bytes>& base, std::uint64_t amount);

struct Effects {
  std::map<Bytes, std::optional<Bytes>> written;  // nothing: the key is removed
  std::map<Bytes, std::uint64_t> added;           // to what is there
  RangeSet cleared;                               // except what is written

  // The parts of `cleared` between the keys that are written.
  std::vector<KeyRange> removed_ranges() const;
  // Operations of etcd that they take, at most.
  std::size_t operations() const {
    return written.size() + added.size() + (cleared.empty() ? 0 : removed_ranges().size());
  }
};

// `version` is put where versionstamps go.
Effects effects_of(const std::vector<Mutation>& mutations, Version version);

bool has_stamps(const std::vector<Mutation>& mutations);

// What a transaction touches, for telling whether two of them may go together.
struct Footprint {
  RangeSet reads;
  RangeSet writes;
  RangeSet stamped;  // where keys with its versionstamp may lie

  explicit Footprint(const CommitRequest& request);
  Footprint() = default;

  // Either has something in common with the other that one of them writes.
  bool meets(const Footprint& other) const;
  void add(const Footprint& other);
  // All of it, reads and writes.
  RangeSet whole() const;
};

}  // namespace semper::etcd
