#include "semper/durable/internal/pace.h"

#include <algorithm>

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
  const auto drawn = shortest_ + Duration(static_cast<Duration::rep>(random_->below(width + 1)));
  const auto grown = static_cast<double>(span_.count()) * factor_;
  span_ = grown >= static_cast<double>(maximum_.count())
              ? maximum_
              : Duration(static_cast<Duration::rep>(grown));
  return drawn;
}

}  // namespace semper::internal
