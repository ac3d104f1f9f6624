// Budget: how many bytes of commits may be under way at once.
//
//   SEMPER_CO_TRY(const auto share, budget.take(bytes));   // given back when `share` goes
//
// Threads: any. The budget outlives its shares.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include "semper/base/result.h"

namespace semper::foundationdb {

class Budget {
 public:
  explicit Budget(std::size_t maximum) : maximum_(maximum) {}

  class Share {
   public:
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&&) = delete;
    ~Share() {
      if (budget_ != nullptr) budget_->taken_.fetch_sub(bytes_);
    }

   private:
    friend class Budget;
    Share(Budget& budget, std::size_t bytes) : budget_(&budget), bytes_(bytes) {}
    Budget* budget_;
    std::size_t bytes_;
  };

  // Error: retry. What is larger than the whole budget gets through alone.
  Result<Share> take(std::size_t bytes) {
    const std::size_t before = taken_.fetch_add(bytes);
    if (before == 0 || before + bytes <= maximum_) return Share(*this, bytes);
    taken_.fetch_sub(bytes);
    return fail(ErrorKind::retry, Limit{"commit_bytes", maximum_},
                "commits of " + std::to_string(before) + " bytes are under way already, of " +
                    std::to_string(maximum_) + " at most; try again later, or slow down");
  }

 private:
  const std::size_t maximum_;
  std::atomic<std::size_t> taken_ = 0;
};

}  // namespace semper::foundationdb
