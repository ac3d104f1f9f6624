// FlushOrder: which flushes of one open file may be believed.
//
// The kernel tells of a failed writeback once for each open file: to the flush that looks first.
// Another one that runs at the same time returns success, although its pages may be among those
// that were lost and are taken for clean since. So a flush that succeeded is told of only when
// every flush that was under way together with it has ended; where one of them failed, it has
// failed too (its owner looks when `deliver` is called).
//
// A flush alone costs two uncontended locks. Bound: those of the handle that are in flight.
// Threads: any.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

namespace semper::internal {

class FlushOrder {
 public:
  // Before the flush is handed to anybody.
  std::uint64_t begin() {
    std::lock_guard lock(mutex_);
    running_.push_back(++last_);
    return last_;
  }

  // The flush has ended, and its failure, if that is what it was, is known to its owner. Calls
  // `deliver` now, or from the end() of the last of those that were under way with it.
  template <class Deliver>
  void end(std::uint64_t flush, Deliver deliver) {
    std::vector<Waiting> due;
    bool is_last = false;
    {
      std::lock_guard lock(mutex_);
      std::erase(running_, flush);
      is_last = running_.empty();
      if (!is_last) waiting_.push_back({last_, std::move(deliver)});
      if (!waiting_.empty()) take_due(due);
    }
    if (is_last) deliver();  // NOLINT(bugprone-use-after-move): moved only where it is not the last
    for (auto& each : due) each.deliver();
  }

 private:
  struct Waiting {
    std::uint64_t last;  // the newest that was under way when this one ended
    std::function<void()> deliver;
  };

  void take_due(std::vector<Waiting>& due) {
    // Begun in the order of their numbers: the front is the oldest.
    const auto oldest = running_.empty() ? UINT64_MAX : running_.front();
    const auto first_due = std::stable_partition(
        waiting_.begin(), waiting_.end(), [&](const Waiting& each) { return each.last >= oldest; });
    std::move(first_due, waiting_.end(), std::back_inserter(due));
    waiting_.erase(first_due, waiting_.end());
  }

  std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::vector<std::uint64_t> running_;
  std::vector<Waiting> waiting_;
};

}  // namespace semper::internal
