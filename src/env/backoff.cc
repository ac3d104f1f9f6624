#include "semper/env/backoff.h"

#include <algorithm>

namespace semper {

Duration Backoff::next() {
  const auto half = current_.count() / 2;
  const auto drawn =
      half + static_cast<Duration::rep>(random_->below(static_cast<std::uint64_t>(half) + 1));
  const auto grown = static_cast<double>(current_.count()) * options_.factor;
  current_ = grown >= static_cast<double>(options_.maximum.count())
                 ? options_.maximum
                 : Duration(static_cast<Duration::rep>(grown));
  return Duration(std::max<Duration::rep>(drawn, 0));
}

}  // namespace semper
