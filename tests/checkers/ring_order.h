// Were items of a ring lost, repeated, changed or overtaken? Told as they come, by the consumer's
// side.
//
// Items have growing numbers. What must hold:
//   - the item at the front is never one whose removal was acknowledged;
//   - no item that was acknowledged is passed over: it is seen, or its removal may have happened,
//     before any later one is;
//   - nothing is seen that was never pushed, or that was refused.
// A removal without an answer may have happened or not.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fate.h"

namespace semper::testing {

class RingOrder {
 public:
  // What became of a push; a later word counts.
  void pushed(std::uint64_t number, Fate fate);

  // The consumer got these items, from the front on, one after another.
  void seen(const std::vector<std::uint64_t>& numbers);
  // Everything up to `number` was removed; or, with open, perhaps.
  void removed(std::uint64_t number, Fate fate);
  // There is nothing left.
  void drained();

  // Sentences; empty: every promise was kept.
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void blame(std::uint64_t number, const std::string& what);
  // Acknowledged ones between the two, both left out, that nobody may have removed.
  void check_passed_over(std::uint64_t after, std::uint64_t before);

  std::map<std::uint64_t, Fate> pushed_;
  std::set<std::uint64_t> seen_;
  std::uint64_t removed_ = 0;        // for certain
  std::uint64_t maybe_removed_ = 0;  // at most
  std::vector<std::string> wrong_;
};

}  // namespace semper::testing
