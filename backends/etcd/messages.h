// etcd's messages, and the few shapes of them that this backend makes.
#pragma once

#include <string>

#include "etcd.pb.h"
#include "semper/store/backend.h"

namespace semper::etcd {

using Revision = std::int64_t;

// Methods of etcd's services.
inline constexpr const char* kRangeMethod = "/etcdserverpb.KV/Range";
inline constexpr const char* kTxnMethod = "/etcdserverpb.KV/Txn";
inline constexpr const char* kCompactMethod = "/etcdserverpb.KV/Compact";
inline constexpr const char* kWatchMethod = "/etcdserverpb.Watch/Watch";
inline constexpr const char* kStatusMethod = "/etcdserverpb.Maintenance/Status";
inline constexpr const char* kHashMethod = "/etcdserverpb.Maintenance/HashKV";
inline constexpr const char* kAuthenticateMethod = "/etcdserverpb.Auth/Authenticate";

// Conditions, all on stored keys. A key that is not there counts as modified at revision 0.
inline void compare_mod(pb::Compare& compare, const Bytes& key, pb::Compare::CompareResult result,
                        Revision revision) {
  compare.set_result(result);
  compare.set_target(pb::Compare::MOD);
  compare.set_key(key);
  compare.set_mod_revision(revision);
}

// No key in it was written after `revision`.
inline void compare_unwritten_since(pb::Compare& compare, const KeyRange& stored,
                                    Revision revision) {
  compare_mod(compare, stored.begin, pb::Compare::LESS, revision + 1);
  compare.set_range_end(stored.end);
}

inline void compare_exists(pb::Compare& compare, const Bytes& key) {
  compare.set_result(pb::Compare::GREATER);
  compare.set_target(pb::Compare::VERSION);
  compare.set_key(key);
  compare.set_version(0);
}

inline void put(pb::RequestOp& op, Bytes key, Bytes value) {
  auto& request = *op.mutable_request_put();
  request.set_key(std::move(key));
  request.set_value(std::move(value));
}

inline void range(pb::RequestOp& op, const Bytes& key) {
  op.mutable_request_range()->set_key(key);
}

// The one row of a Range of one key; null where the key is not there.
inline const pb::KeyValue* only_row(const pb::ResponseOp& answer) {
  const auto& rows = answer.response_range().kvs();
  return rows.empty() ? nullptr : &rows.Get(0);
}

// The version in the row of a store's stamp. Error: corrupt.
inline Result<Version> stamp_in(const pb::KeyValue* row) {
  if (row == nullptr || row->value().size() != sizeof(Version)) {
    return fail(ErrorKind::corrupt,
                "the store's stamp is gone; was something removed or written under its prefix?");
  }
  return load_big_endian_u64(row->value());
}

}  // namespace semper::etcd
