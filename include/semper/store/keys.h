// KeyRange, KeyValue: the vocabulary of ordered byte keys.
//
// What for: every read and write of a store. When not: structured keys; build those with tuple.h
// and subspace.h, whose order is the order of the values.
//
//   const auto one = KeyRange::point("a");       // the key "a" alone
//   const KeyRange some{"a", "b"};               // "a" <= key < "b"
//
// Keys are compared bytewise, unsigned; a prefix sorts first. The empty key is allowed as the
// beginning of a range, but not as a key. Keys from 0xff up belong to Semper and the backends.
#pragma once

#include <utility>

#include "semper/base/bytes.h"

namespace semper {

// The first key after `key`.
inline Bytes key_after(BytesView key) {
  Bytes next(key);
  next.push_back('\0');
  return next;
}

// The constructors are spelled out because of a compiler bug: g++ 12 destroys the members of an
// aggregate twice if it is created in place in a co_await expression.
struct KeyRange {
  KeyRange() = default;
  KeyRange(Bytes first, Bytes past) : begin(std::move(first)), end(std::move(past)) {}

  Bytes begin;  // included
  Bytes end;    // not included

  static KeyRange point(BytesView key) { return {Bytes(key), key_after(key)}; }

  bool contains(BytesView key) const { return begin <= key && key < end; }
  bool empty() const { return begin >= end; }
  bool overlaps(const KeyRange& other) const { return begin < other.end && other.begin < end; }

  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

struct KeyValue {
  KeyValue() = default;
  KeyValue(Bytes k, Bytes v) : key(std::move(k)), value(std::move(v)) {}

  Bytes key;
  Bytes value;

  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

enum class Order : std::uint8_t { ascending, descending };

}  // namespace semper
