#include "semper/durable/internal/pace.h"

#include <algorithm>

#include "semper/base/internal/mutant.h"

namespace semper::internal {

Pauses::Pauses(const RetryOptions& options, Random& random)
    : shortest_(std::max(std::min(options.initial, options.maximum), Duration::zero()) / 2),
      maximum_(options.maximum),
      factor_(options.factor),
      random_(&random) {
  reset();
}

Duration Pauses::next() {
  const auto width =
      static_cast<std::uint64_t>(std::max(span_ - shortest_, Duration::zero()).count());
  const auto within = SEMPER_MUTANT("durable_all_come_back_in_one_instant") ? 0 : width;
  const auto drawn = shortest_ + Duration(static_cast<Duration::rep>(random_->below(within + 1)));
  const auto grown = static_cast<double>(span_.count()) * factor_;
  const Duration most = SEMPER_MUTANT("durable_pauses_without_a_bound") ? kForever / 4 : maximum_;
  span_ = grown >= static_cast<double>(most.count()) ? most
                                                     : Duration(static_cast<Duration::rep>(grown));
  return drawn;
}

}  // namespace semper::internal
