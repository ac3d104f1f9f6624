#include "connection.h"

namespace semper::foundationdb {

void RecentVersion::saw(Version version, MonotonicTime asked_at) {
  std::lock_guard lock(mutex_);
  if (seen_ && seen_->version >= version) return;
  seen_ = Seen{version, asked_at};
}

std::optional<Version> RecentVersion::at(MonotonicTime now) const {
  std::lock_guard lock(mutex_);
  if (!seen_ || now - seen_->asked_at > kAgeMaximum) return std::nullopt;
  return seen_->version;
}

void RecentVersion::forget() {
  std::lock_guard lock(mutex_);
  seen_.reset();
}

Result<Gate::Holder> Connection::enter() {
  SEMPER_TRY_STATUS(fork.check());
  if (gate.count() < kOperationsMaximum) return gate.enter();
  return fail(ErrorKind::retry, Limit{"kOperationsMaximum", kOperationsMaximum},
              std::to_string(kOperationsMaximum) +
                  " operations are under way already; try again later, or slow "
                  "down");
}

}  // namespace semper::foundationdb
