// Overlay: what a transaction would see of its own writes, laid over a snapshot.
//
// Built only when a transaction reads after it wrote. Invariant: a key is in `entries_` or in one
// of the disjoint `cleared_` ranges with its last word; an entry wins over a range, because a later
// clear_range removes the entries it covers.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "semper/store/backend.h"

namespace semper::internal {

// The 8-byte little-endian sum of Mutation::Type::add.
Bytes add_to_value(const std::optional<Bytes>& base, std::uint64_t amount);

class Overlay {
 public:
  // The next mutation of the transaction.
  void apply(const Mutation& mutation);

  enum class Kind : std::uint8_t {
    untouched,   // as in the snapshot
    value,       // value()
    absent,      // removed
    added,       // the snapshot's value plus amount()
    unreadable,  // a versionstamp will be in it
  };
  struct View {
    Kind kind = Kind::untouched;
    const Bytes* value = nullptr;
    std::uint64_t amount = 0;
  };
  View look(BytesView key) const;

  // Lays the writes within `range` over `rows` (ascending, all of the snapshot's rows there).
  // Error: unsupported (unreadable).
  Result<std::vector<KeyValue>> merge(const KeyRange& range, std::vector<KeyValue> rows) const;

 private:
  struct Entry {
    Kind kind;
    Bytes value;
    std::uint64_t amount = 0;
  };

  bool is_cleared(BytesView key) const;
  void clear_range(const Bytes& begin, const Bytes& end);

  std::map<Bytes, Entry, std::less<>> entries_;
  std::map<Bytes, Bytes, std::less<>> cleared_;  // begin -> end
};

Error unreadable_error(BytesView key);

}  // namespace semper::internal
