// Packer: puts transactions into one request as long as they fit and have nothing in common.
#pragma once

#include <algorithm>
#include <utility>

#include "backends/etcd/plan.h"

namespace semper::etcd {

// One request; etcd's --max-request-bytes is 1.5 MiB.
inline constexpr std::size_t kRequestBytes = std::size_t{1} << 20;

class Packer {
 public:
  // Whether there is anything to compare with; a lone transaction's footprint is not looked at.
  enum class Company : std::uint8_t { none, some };
  // `under_way`: what nobody of this request may have anything in common with either.
  explicit Packer(Company company, Footprint under_way = {})
      : company_(company), under_way_(std::move(under_way)) {}

  // A transaction that shares its request with none: one to be validated, one that declares writes.
  static bool is_alone(const Plan& plan) {
    return plan.to_validate || !plan.request.write_conflicts.empty();
  }

  // False: it waits for the next request. The first is taken unless it meets what is under way.
  bool take(const Plan& plan, bool alone) {
    if (company_ == Company::some && plan.footprint.meets(under_way_)) return false;
    if (count_ > 0) {
      const bool fits =
          std::max(cost_, plan.cost) + count_ + 1 + kOwnOperations <= kLevelOperations &&
          bytes_ + plan.bytes <= kRequestBytes;
      if (!fits || alone || plan.footprint.meets(together_)) return false;
    }
    ++count_;
    cost_ = std::max(cost_, plan.cost);
    bytes_ += plan.bytes;
    full_ = alone;
    if (company_ == Company::some) together_.add(plan.footprint);
    return true;
  }

  // What its transactions read and write; nothing where there is no company.
  const Footprint& together() const { return together_; }

  bool is_full() const {
    return full_ || bytes_ >= kRequestBytes ||
           (count_ > 0 && cost_ + count_ + 1 + kOwnOperations > kLevelOperations);
  }

 private:
  const Company company_;
  const Footprint under_way_;
  std::size_t count_ = 0;
  std::size_t cost_ = 0;  // of the most expensive
  std::size_t bytes_ = 0;
  bool full_ = false;
  Footprint together_;
};

}  // namespace semper::etcd
