#include "ring_order.h"

#include <algorithm>
#include <limits>

namespace semper::testing {

void RingOrder::blame(std::uint64_t number, const std::string& what) {
  wrong_.push_back("item " + std::to_string(number) + " " + what);
}

void RingOrder::pushed(std::uint64_t number, Fate fate) {
  pushed_[number] = fate;
  if (fate == Fate::refused && seen_.contains(number)) blame(number, "was seen and then refused");
}

void RingOrder::check_passed_over(std::uint64_t after, std::uint64_t before) {
  for (auto each = pushed_.upper_bound(after); each != pushed_.end() && each->first < before;
       ++each) {
    if (each->second == Fate::done) blame(each->first, "was acknowledged and passed over");
  }
}

void RingOrder::seen(const std::vector<std::uint64_t>& numbers) {
  std::uint64_t before = 0;
  for (const auto number : numbers) {
    seen_.insert(number);
    if (number <= removed_) blame(number, "came back although its removal was acknowledged");
    const auto found = pushed_.find(number);
    if (found == pushed_.end()) blame(number, "was never pushed");
    if (found != pushed_.end() && found->second == Fate::refused) {
      blame(number, "was refused and is there");
    }
    if (before > 0 && number <= before) blame(number, "came after " + std::to_string(before));
    check_passed_over(before > 0 ? before : std::max(removed_, maybe_removed_), number);
    // What is at the front was not removed, whatever was not known before.
    if (before == 0) maybe_removed_ = std::min(maybe_removed_, number - 1);
    before = number;
  }
}

void RingOrder::removed(std::uint64_t number, Fate fate) {
  if (fate == Fate::refused) return;
  maybe_removed_ = std::max(maybe_removed_, number);
  if (fate == Fate::done) removed_ = std::max(removed_, number);
}

void RingOrder::drained() {
  check_passed_over(std::max(removed_, maybe_removed_), std::numeric_limits<std::uint64_t>::max());
}

}  // namespace semper::testing
