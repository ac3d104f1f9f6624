// KeySpace: where in a FoundationDB cluster a store's keys lie.
//
// Every key gets a prefix: the tuple encoding of the store's name, so 0x02 NAME 0x00. For two
// reasons: keys from 0xff on are FoundationDB's own, and Semper uses such keys for itself; and a
// cluster is shared, by other stores and by programs that are not ours. Such prefixes never contain
// each other, and FoundationDB's tuple and directory layers count them as taken.
#pragma once

#include "semper/store/keys.h"

namespace semper::foundationdb {

class KeySpace {
 public:
  // Precondition: no NUL byte in the name (options.h).
  explicit KeySpace(BytesView name) {
    prefix_.push_back('\x02');
    prefix_.append(name);
    prefix_.push_back('\0');
  }

  const Bytes& prefix() const { return prefix_; }

  // The key, or the end of a range of keys, in the cluster.
  Bytes in_cluster(BytesView key) const {
    Bytes mapped;
    mapped.reserve(prefix_.size() + key.size());
    mapped.append(prefix_).append(key);
    return mapped;
  }

  // The store's key of a cluster's key that in_cluster() made.
  BytesView in_store(BytesView key) const { return key.substr(prefix_.size()); }

  // All of it, in the cluster.
  KeyRange everything() const {
    Bytes end = prefix_;
    end.back() = '\x01';
    return {prefix_, std::move(end)};
  }

 private:
  Bytes prefix_;
};

}  // namespace semper::foundationdb
