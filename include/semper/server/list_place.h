// ListPlace: names an entry of a List (server/list.h), in messages and in the State.
//
// It stays the same until the entry is moved or removed. When not: for an entry's number, which a
// List does not know. A plain value; threads: as any value.
#pragma once

#include <cstddef>
#include <utility>

#include "semper/base/bytes.h"
#include "semper/base/codec.h"
#include "semper/base/result.h"

namespace semper {

// Of one place. Inserting thousands of entries between the same two neighbours makes their places
// longer, a byte with each eight.
inline constexpr std::size_t kListPlaceBytesMaximum = 500;

// Places of one list sort as its entries do. They can be members of messages and of the State.
class ListPlace {
 public:
  ListPlace() = default;  // of no entry
  explicit ListPlace(Bytes bytes) : order_{std::move(bytes)} {}

  const Bytes& bytes() const { return order_.bytes; }

  friend auto operator<=>(const ListPlace&, const ListPlace&) = default;

 private:
  ByteString order_;
};

template <>
struct Codec<ListPlace> {
  static void encode(const ListPlace& place, Bytes& out) {
    Codec<ByteString>::encode({place.bytes()}, out);
  }
  static Result<ListPlace> decode(BytesView item) {
    SEMPER_TRY(auto order, Codec<ByteString>::decode(item));
    return ListPlace(std::move(order.bytes));
  }
};

}  // namespace semper
