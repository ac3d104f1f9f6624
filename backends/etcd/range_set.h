// RangeSet: keys as ranges that are joined where they meet; answers whether something overlaps
// them.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "semper/store/keys.h"

namespace semper::etcd {

class RangeSet {
 public:
  void add(const KeyRange& range) {
    if (range.empty()) return;
    Bytes begin = range.begin;
    Bytes end = range.end;
    auto next = ranges_.upper_bound(begin);
    if (next != ranges_.begin() && std::prev(next)->second >= begin) --next;
    while (next != ranges_.end() && next->first <= end) {
      begin = std::min(begin, next->first);
      end = std::max(end, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace_hint(next, std::move(begin), std::move(end));
  }

  bool overlaps(const KeyRange& range) const {
    if (range.empty()) return false;
    const auto next = ranges_.lower_bound(range.end);  // the first that begins behind it
    return next != ranges_.begin() && std::prev(next)->second > range.begin;
  }

  // Every key of `range`.
  bool covers(const KeyRange& range) const {
    const auto next = ranges_.upper_bound(range.begin);
    return next != ranges_.begin() && std::prev(next)->second >= range.end;
  }

  bool empty() const { return ranges_.empty(); }
  std::size_t size() const { return ranges_.size(); }
  auto begin() const { return ranges_.begin(); }
  auto end() const { return ranges_.end(); }

 private:
  std::map<Bytes, Bytes, std::less<>> ranges_;  // begin -> end, disjoint
};

}  // namespace semper::etcd
