// search_order: is there an order of these operations that the object could have had? By trying.
//
// Wing and Gong's search (1993) with what was tried kept in mind (Lowe, 2017): each next operation
// must have been called before all that remain were answered. One without an answer may stand
// anywhere after its call, or nowhere. In the worst case that takes for ever, so there is a bound
// on the work, and what is not decided by then is `unknown`: never take it for right. Where an
// object tells more (a counter that returns its place), a judge of its own needs no search:
// linearizable.h.
//
//   struct Register {                               // a model
//     using State = std::int64_t;                   // ordered by <
//     using Operation = ...;
//     static Interval interval(const Operation&);
//     static bool step(const Operation&, State&);   // false: it cannot have been answered so
//   };
//   const auto verdict = search_order<Register>(operations, 0);
//
// Operations of different objects are searched apart: linearizability is local (Herlihy and Wing,
// 1990).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <utility>
#include <vector>

namespace semper::testing {

struct Interval {
  std::int64_t invoked = 0;
  std::int64_t returned = 0;
  bool is_open = false;  // no answer: `returned` means nothing
};

enum class Found : std::uint8_t { an_order, none, unknown };

struct SearchVerdict {
  Found found = Found::unknown;
  std::uint64_t tried = 0;
};

inline constexpr std::uint64_t kSearchWork = 200'000;

template <class Model>
class OrderSearch {
 public:
  using Operation = typename Model::Operation;
  using State = typename Model::State;

  OrderSearch(const std::vector<Operation>& operations, std::uint64_t work)
      : operations_(operations), work_(work), taken_((operations.size() + 63) / 64, 0) {
    for (const auto& operation : operations) intervals_.push_back(Model::interval(operation));
  }

  SearchVerdict run(const State& initial) {
    const bool found = try_from(initial);
    if (found) return {Found::an_order, tried_count_};
    return {tried_count_ >= work_ ? Found::unknown : Found::none, tried_count_};
  }

 private:
  bool is_taken(std::size_t i) const { return (taken_[i / 64] >> (i % 64) & 1) != 0; }
  void flip(std::size_t i) { taken_[i / 64] ^= std::uint64_t{1} << (i % 64); }

  bool try_from(const State& state) {
    if (tried_count_ >= work_) return false;
    ++tried_count_;
    if (!tried_.insert({taken_, state}).second) return false;
    std::int64_t first_answer = std::numeric_limits<std::int64_t>::max();
    bool all_answered_taken = true;
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      if (is_taken(i) || intervals_[i].is_open) continue;
      first_answer = std::min(first_answer, intervals_[i].returned);
      all_answered_taken = false;
    }
    if (all_answered_taken) return true;
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      if (is_taken(i) || intervals_[i].invoked > first_answer) continue;
      State after = state;
      if (!Model::step(operations_[i], after)) continue;
      flip(i);
      if (try_from(after)) return true;
      flip(i);
    }
    return false;
  }

  const std::vector<Operation>& operations_;
  const std::uint64_t work_;
  std::vector<Interval> intervals_;
  std::vector<std::uint64_t> taken_;
  std::set<std::pair<std::vector<std::uint64_t>, State>> tried_;
  std::uint64_t tried_count_ = 0;
};

template <class Model>
SearchVerdict search_order(const std::vector<typename Model::Operation>& operations,
                           typename Model::State initial, std::uint64_t work = kSearchWork) {
  return OrderSearch<Model>(operations, work).run(initial);
}

}  // namespace semper::testing
