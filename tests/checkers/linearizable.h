// Is the history of a counter linearizable? That is: can each operation be put at one moment
// between its call and its answer, so that all together are what one counter, asked one after the
// other, would say?
//
// In general that is a search (Wing and Gong, 1993; Lowe, 2017). Here every add returns its place
// among all adds, which leaves nothing to search for: an add that returned v stands at 2v, a read
// that returned v at 2v + 1, and the history is linearizable if and only if
//
//   - no two adds returned the same, and
//   - nothing that was answered before another was called stands behind it, and
//   - each place that nobody returned, below the highest one that somebody saw, can be given to an
//     add without an answer, each to another one, that was called before anything behind that place
//     was answered. (Such a matching is found greedily: the later the place, the later its
//     deadline.)
//
// That is O(n log n), so histories may be as long as a campaign is. The unit test compares it with
// the search on thousands of small histories, right and wrong ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "history.h"

namespace semper::testing {

struct CounterVerdict {
  std::vector<std::string> wrong;  // each a sentence; empty: linearizable
  std::uint64_t done = 0;
  std::uint64_t open = 0;          // adds without an answer
  std::uint64_t open_applied = 0;  // of them, those that must have taken effect
};

// The operations of one counter, in any order. What the counter holds at the end is given as a
// read.
CounterVerdict judge_counter(const std::string& counter, const std::vector<Operation>& operations);

}  // namespace semper::testing
