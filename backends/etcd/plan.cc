#include "plan.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::etcd {
namespace {

bool is_point(const KeyRange& range) {
  return range.end.size() == range.begin.size() + 1 && range.end.back() == '\0' &&
         range.end.starts_with(range.begin);
}

class Conditions {
 public:
  Conditions(Plan& plan, const ReadMemory& reads, const Layout& layout)
      : plan_(&plan), memory_(&reads), layout_(&layout) {}

  // False: it cannot be said with conditions.
  bool add(const ReadRecord& read) {
    const Revision bound = plan_->begun.bound(read.range);
    if (is_point(read.range)) {
      compare_mod(next(), layout_->stored(read.range.begin), pb::Compare::LESS, bound + 1);
      if (read.rows != 0) compare_exists(next(), layout_->stored(read.range.begin));
      return true;
    }
    const KeyRange stored{layout_->stored(read.range.begin), layout_->stored(read.range.end)};
    const KeyRange whole =
        SEMPER_MUTANT("etcd_end_of_a_range_forgotten") ? KeyRange::point(stored.begin) : stored;
    compare_unwritten_since(next(), whole, bound);
    if (read.rows == 0) return true;
    const auto keys = memory_->keys(plan_->request.read_version, read.range, read.rows);
    if (!keys) return false;
    for (const auto& key : *keys) compare_exists(next(), layout_->stored(key));
    return true;
  }

 private:
  pb::Compare& next() { return plan_->conditions.emplace_back(); }

  Plan* plan_;
  const ReadMemory* memory_;
  const Layout* layout_;
};

// Sorted, each once.
void tidy(std::vector<ReadRecord>& reads) {
  const auto less = [](const ReadRecord& a, const ReadRecord& b) {
    return std::tie(a.range.begin, a.range.end, a.rows) <
           std::tie(b.range.begin, b.range.end, b.rows);
  };
  const auto same = [](const ReadRecord& a, const ReadRecord& b) {
    return a.range == b.range && a.rows == b.rows;
  };
  std::sort(reads.begin(), reads.end(), less);
  reads.erase(std::unique(reads.begin(), reads.end(), same), reads.end());
  std::erase_if(reads, [](const ReadRecord& read) { return read.range.empty(); });
}

std::size_t bytes_of(const CommitRequest& request, std::size_t key_overhead) {
  const std::size_t framing = kFramingBytes + key_overhead;
  std::size_t bytes = framing;
  for (const auto& mutation : request.mutations) {
    bytes += framing + mutation.key.size() + mutation.value.size();
  }
  for (const auto& read : request.reads) {
    bytes += 2 * framing + read.range.begin.size() + read.range.end.size();
  }
  return bytes;
}

}  // namespace

std::size_t group_size(std::size_t count) {
  return static_cast<std::size_t>(std::ceil(std::cbrt(static_cast<double>(count))));
}

std::size_t cost_of_operations(std::size_t count) {
  return count <= kOperationsUngrouped ? count : 3 * group_size(count);
}

Result<Plan> make_plan(CommitRequest request, const VersionMap& versions, const ReadMemory& reads,
                       const Layout& layout) {
  Plan plan;
  plan.request = std::move(request);
  tidy(plan.request.reads);
  plan.footprint = Footprint(plan.request);
  plan.bytes = bytes_of(plan.request, layout.overhead_bytes());
  Effects effects = effects_of(plan.request.mutations, 0);
  const std::size_t operations = effects.operations() + plan.request.write_conflicts.size() + 1;
  const std::size_t sums = effects.added.size();
  if (!has_stamps(plan.request.mutations)) plan.effects = std::move(effects);
  if (!plan.request.reads.empty()) {
    const auto begun = versions.at_or_before(plan.request.read_version);
    if (!begun) {
      return fail(ErrorKind::conflict,
                  "the transaction began at a version that is too old to be compared; begin anew");
    }
    plan.begun = *begun;
    Conditions conditions(plan, reads, layout);
    for (const auto& read : plan.request.reads) {
      if (plan.conditions.size() > kLevelOperations || !conditions.add(read)) {
        plan.to_validate = true;
        break;
      }
    }
  }
  const std::size_t writing = cost_of_operations(operations);
  plan.cost = std::max<std::size_t>(plan.conditions.size(), 1) + std::max(sums, writing) + 1;
  if (plan.to_validate || plan.cost > kCostMaximum) {
    plan.to_validate = true;
    plan.conditions.clear();
    plan.cost = writing + 2;
  }
  return plan;
}

}  // namespace semper::etcd
