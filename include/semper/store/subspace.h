// Subspace: a prefix under which a program keeps its tuple keys, and the range of all of them.
//
// What for: giving each kind of data its own part of the key space, so that no two can overlap.
// When not: parts that are created, listed and removed at run time; use directories (directory.h).
//
//   const semper::Subspace users(semper::Tuple{"users"});
//   tx.set(users.pack({42, "name"}), "Ann");
//   auto rows = co_await tx.get_range(users[42].range());          // all about user 42
//   auto field = users.unpack(rows->rows[0].key);                  // (42, "name")
//
// A subspace is a raw prefix, often the packed form of a tuple. Two subspaces overlap only if the
// prefix of one begins with that of the other. Threads: values, freely copied and moved between
// threads.
#pragma once

#include <optional>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/keys.h"
#include "semper/store/tuple.h"

namespace semper {

class Subspace {
 public:
  // All keys: an empty prefix.
  Subspace() = default;

  // All keys that begin with the elements of `tuple`.
  explicit Subspace(const Tuple& tuple);

  // All keys that begin with these bytes, whatever they are.
  static Subspace from_prefix(Bytes prefix);

  // The subspace of keys that continue with this element, or with these.
  Subspace operator[](const TupleElement& element) const;
  Subspace at(const Tuple& tuple) const;

  const Bytes& prefix() const noexcept { return prefix_; }

  // The key of `tuple` in this subspace; for an empty tuple, the prefix itself. On hot paths, copy
  // prefix() and use TupleWriter.
  Bytes pack(const Tuple& tuple = {}) const;

  // The key of `tuple`, for Transaction::set_versionstamped_key. invalid_argument unless it has
  // exactly one incomplete versionstamp.
  Result<StampedBytes> pack_with_versionstamp(const Tuple& tuple) const;

  // The tuple of a key. invalid_argument: the key is not of this subspace. corrupt: what follows
  // the prefix is not a tuple; offsets in the message count from after the prefix.
  Result<Tuple> unpack(BytesView key) const;

  bool contains(BytesView key) const noexcept { return key.starts_with(prefix_); }

  // All keys with the elements of `tuple` and at least one more.
  KeyRange range(const Tuple& tuple = {}) const;

  friend bool operator==(const Subspace&, const Subspace&) = default;

 private:
  Bytes prefix_;
};

// The first key after every key that starts with `prefix`: the prefix without its trailing 0xff
// bytes, its last byte one higher. Nothing if there is no such key, because the prefix is empty or
// all 0xff.
std::optional<Bytes> prefix_end(BytesView prefix);

// All keys that start with `prefix`, including `prefix` itself. Nothing if prefix_end() gives
// nothing.
std::optional<KeyRange> prefix_range(BytesView prefix);

}  // namespace semper
