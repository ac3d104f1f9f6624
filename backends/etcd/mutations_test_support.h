// Writes of a commit, in short.
#pragma once

#include <utility>

#include "semper/store/backend.h"

namespace semper::etcd {

inline Mutation set(Bytes key, Bytes value) {
  return {Mutation::Type::set, std::move(key), std::move(value), 0};
}

inline Mutation add(Bytes key, std::uint64_t amount) {
  Bytes operand;
  append_little_endian_u64(operand, amount);
  return {Mutation::Type::add, std::move(key), std::move(operand), 0};
}

}  // namespace semper::etcd
