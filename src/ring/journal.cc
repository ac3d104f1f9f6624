#include "semper/ring/journal.h"

#include <utility>

#include "ring/journal_core.h"
#include "semper/env/cancellation.h"

namespace semper::ring {
namespace {

// An operation keeps the core alive from the call on, not only once it is awaited; and where it is
// cancelled, it ends only where it can.
using SharedJournal = std::shared_ptr<internal::JournalCore>;

Async<void> sync(SharedJournal core, Position position, MonotonicTime deadline) {
  if (core->is_performed(position)) co_return Status{};
  co_return co_await run_through(core->sync(position, deadline));
}
Async<void> shut_down(SharedJournal core, MonotonicTime deadline) {
  co_return co_await run_through(core->shutdown(deadline));
}

}  // namespace

Journal::Journal(std::shared_ptr<internal::JournalCore> core) : core_(std::move(core)) {}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&& other) noexcept {
  if (this == &other) return *this;
  if (core_) core_->kill();
  core_ = std::move(other.core_);
  return *this;
}
Journal::~Journal() {
  if (core_) core_->kill();
}

Async<Journal> Journal::start(BlockDevice& device, Perform perform, JournalOptions options) {
  SEMPER_CO_TRY(auto core, co_await run_through(internal::JournalCore::start(
                               device, std::move(perform), std::move(options))));
  co_return Journal(std::move(core));
}

Async<Journal::Waiter> Journal::push(BytesView operation, MonotonicTime deadline) {
  const auto core = core_;
  SEMPER_CO_TRY(const Position position, co_await run_through(core->push(operation, deadline)));
  co_return Waiter(core, position);
}

Async<void> Journal::replayed(MonotonicTime deadline) {
  return sync(core_, core_->found(), deadline);
}
Async<void> Journal::shutdown(MonotonicTime deadline) {
  return shut_down(core_, deadline);
}
Status Journal::status() const {
  return core_->status();
}
JournalStatistics Journal::statistics() const {
  return core_->statistics();
}
std::string Journal::identity() const {
  return core_->identity();
}

void Journal::Waiter::flush() const {
  core_->hurry();
}
Async<void> Journal::Waiter::sync(MonotonicTime deadline) const {
  return ring::sync(core_, position_, deadline);
}

}  // namespace semper::ring
