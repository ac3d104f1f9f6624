// Layout: where a store lies among the keys of an etcd cluster.
//
//   PREFIX k KEY          the store's key KEY, its value as it is
//   PREFIX m/format       kFormat, written when the store is made
//   PREFIX m/stamp        S: the version of the last commit, 8 bytes big-endian
//   PREFIX m/declared     explicit write conflicts of the last commits (declared_writes.h)
//   PREFIX l/LANE         one per open handle: the version of its last request (committer.h)
//   PREFIX l/LANE/N       what transaction N of that request leaves where it writes nothing else
//
// docs/formats.md says the same in words. Nothing outside PREFIX is read or written.
#pragma once

#include <string>
#include <utility>

#include "semper/store/keys.h"

namespace semper::etcd {

inline constexpr BytesView kFormat = "semper-etcd-1";

class Layout {
 public:
  explicit Layout(Bytes prefix)
      : prefix_(std::move(prefix)),
        data_(prefix_ + 'k'),
        format_(prefix_ + "m/format"),
        stamp_(prefix_ + "m/stamp"),
        declared_(prefix_ + "m/declared") {}

  // As it is stored, and back.
  Bytes stored(BytesView key) const {
    Bytes made;
    made.reserve(data_.size() + key.size());
    return made.append(data_).append(key);
  }
  BytesView user_key(BytesView stored_key) const { return stored_key.substr(data_.size()); }
  std::size_t overhead_bytes() const { return data_.size(); }

  const Bytes& format() const { return format_; }
  const Bytes& stamp() const { return stamp_; }
  const Bytes& declared() const { return declared_; }
  Bytes lane(BytesView name) const { return prefix_ + "l/" + Bytes(name); }
  KeyRange lanes() const { return {prefix_ + "l/", prefix_ + "l0"}; }
  // A lane with all that lies behind it.
  static KeyRange everything_of(const Bytes& lane) { return {lane, lane + '0'}; }
  static Bytes witness(const Bytes& lane, std::size_t number) {
    return lane + '/' + std::to_string(number);
  }

 private:
  Bytes prefix_;
  Bytes data_;
  Bytes format_;
  Bytes stamp_;
  Bytes declared_;
};

}  // namespace semper::etcd
