// The contents of a ring, as its consumer and journal return them.
//
// What for: the types for functions on items. When not: to read items; see consumer.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "semper/base/bytes.h"
#include "semper/ring/position.h"

namespace semper::ring {

struct Item {
  Position start;
  // The position of the next item; pass it to advance() to remove this item and all before it.
  Position after;
  Bytes bytes;
};

// The same, borrowed.
struct ItemView {
  Position start;
  Position after;
  BytesView bytes;
};

// Bytes of the stream that were skipped.
struct Damage {
  Position start;
  Position after;
  std::string why;
};

struct PopLimits {
  // At least one item is returned, however large.
  std::size_t max_items = 1024;
  std::size_t max_bytes = std::size_t{1} << 20;
};

// A sector or block outside the items whose contents are wrong.
struct HeaderDamage {
  std::uint64_t offset = 0;  // bytes from the device's beginning
  std::uint64_t bytes = 0;
  std::string why;
};

}  // namespace semper::ring
