// Counters: the values that this handle believes the keys have which it adds to.
//
// etcd has no sums. A transaction that adds to a key puts the sum of what it believes is there, on
// the condition that the key is still at the revision of that belief, and is told the present value
// where it is not. So a number that one process adds to costs no read, and one that many add to
// costs another request each time somebody was faster; transactions above are never told of it.
//
// Threads: one at a time, the committer's.
#pragma once

#include <map>
#include <optional>

#include "backends/etcd/messages.h"

namespace semper::etcd {

// Past it everything is forgotten, which costs the next sums a request more.
inline constexpr std::size_t kCountersMaximum = 4'096;

class Counters {
 public:
  struct Belief {
    std::optional<Bytes> value;
    Revision revision = 0;  // 0: not there
  };

  // Of a key that nothing is known of: that it is not there.
  Belief believed(const Bytes& stored) const {
    const auto found = beliefs_.find(stored);
    return found == beliefs_.end() ? Belief() : found->second;
  }

  void learn(const Bytes& stored, Belief belief) {
    if (beliefs_.size() >= kCountersMaximum) beliefs_.clear();
    beliefs_.insert_or_assign(stored, std::move(belief));
  }

  // Written otherwise than by a sum.
  void forget(const KeyRange& stored) {
    beliefs_.erase(beliefs_.lower_bound(stored.begin), beliefs_.lower_bound(stored.end));
  }

 private:
  std::map<Bytes, Belief, std::less<>> beliefs_;
};

}  // namespace semper::etcd
