#include "linearizable.h"

#include <algorithm>
#include <set>

namespace semper::testing {
namespace {

// An answered operation and where it stands.
struct Placed {
  std::int64_t place;
  const Operation* operation;
};

std::string in_words(const Operation& operation) {
  return std::string(operation.kind == Operation::Kind::add ? "an add" : "a read") +
         " that returned " + std::to_string(operation.value);
}

class CounterJudge {
 public:
  CounterJudge(const std::string& counter, const std::vector<Operation>& operations)
      : counter_(counter) {
    for (const auto& operation : operations) take(operation);
    std::sort(open_invoked_ns_.begin(), open_invoked_ns_.end());
  }

  CounterVerdict run() {
    check_real_time();
    check_gaps();
    return std::move(verdict_);
  }

 private:
  void blame(const std::string& what) { verdict_.wrong.push_back(counter_ + ": " + what); }

  void take(const Operation& operation) {
    const bool adds = operation.kind == Operation::Kind::add;
    if (operation.outcome == Operation::Outcome::done) {
      ++verdict_.done;
      placed_.push_back({2 * operation.value + (adds ? 0 : 1), &operation});
      highest_ = std::max(highest_, operation.value);
      const bool possible = operation.value >= (adds ? 1 : 0);
      if (!possible) blame(in_words(operation) + ", which no counter does");
      if (adds && !returned_by_adds_.insert(operation.value).second) {
        blame("two adds returned " + std::to_string(operation.value));
      }
    } else if (operation.outcome == Operation::Outcome::open && adds) {
      ++verdict_.open;
      open_invoked_ns_.push_back(operation.invoked_ns);
    }
  }

  // Sweeps over the calls in order of time, with the highest place that was answered before each.
  void check_real_time() {
    std::vector<Placed> by_call = placed_;
    std::vector<Placed> by_answer = placed_;
    std::sort(by_call.begin(), by_call.end(), [](const Placed& a, const Placed& b) {
      return a.operation->invoked_ns < b.operation->invoked_ns;
    });
    std::sort(by_answer.begin(), by_answer.end(), [](const Placed& a, const Placed& b) {
      return a.operation->returned_ns < b.operation->returned_ns;
    });
    auto answered = by_answer.begin();
    const Placed* highest = nullptr;
    for (const auto& called : by_call) {
      while (answered != by_answer.end() &&
             answered->operation->returned_ns < called.operation->invoked_ns) {
        if (highest == nullptr || answered->place > highest->place) highest = &*answered;
        ++answered;
      }
      if (highest != nullptr && highest->place > called.place) {
        blame(in_words(*called.operation) + " was called when " + in_words(*highest->operation) +
              " had been answered");
      }
    }
  }

  // Places that were seen and that no answered add has.
  void check_gaps() {
    const std::int64_t gaps = highest_ - static_cast<std::int64_t>(returned_by_adds_.size());
    if (gaps > static_cast<std::int64_t>(open_invoked_ns_.size())) {
      blame(std::to_string(gaps) + " effects belong to no answered add, and only " +
            std::to_string(open_invoked_ns_.size()) + " adds were left without an answer");
      return;
    }
    std::vector<Placed> by_place = placed_;
    std::sort(by_place.begin(), by_place.end(),
              [](const Placed& a, const Placed& b) { return a.place > b.place; });
    std::vector<std::int64_t> deadlines_ns;  // of the gaps, from the highest down
    std::int64_t deadline_ns = Operation::kNever;
    auto behind = by_place.begin();
    for (std::int64_t value = highest_; value >= 1; --value) {
      for (; behind != by_place.end() && behind->place > 2 * value; ++behind) {
        deadline_ns = std::min(deadline_ns, behind->operation->returned_ns);
      }
      if (!returned_by_adds_.contains(value)) deadlines_ns.push_back(deadline_ns);
    }
    std::reverse(deadlines_ns.begin(), deadlines_ns.end());
    verdict_.open_applied = deadlines_ns.size();
    for (std::size_t i = 0; i < deadlines_ns.size() && i < open_invoked_ns_.size(); ++i) {
      if (open_invoked_ns_[i] <= deadlines_ns[i]) continue;
      blame(
          "an effect that belongs to no answered add was seen before any add that it could be of "
          "was called");
      return;
    }
  }

  const std::string counter_;
  std::vector<Placed> placed_;
  std::set<std::int64_t> returned_by_adds_;
  std::vector<std::int64_t> open_invoked_ns_;
  std::int64_t highest_ = 0;
  CounterVerdict verdict_;
};

}  // namespace

CounterVerdict judge_counter(const std::string& counter, const std::vector<Operation>& operations) {
  return CounterJudge(counter, operations).run();
}

}  // namespace semper::testing
