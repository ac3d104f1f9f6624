#include "semper/ring/journal.h"

#include <utility>

#include "journal_core.h"
#include "semper/base/assert.h"
#include "semper/env/cancellation.h"

namespace semper::ring {

Journal::Journal(std::shared_ptr<internal::JournalCore> core) : core_(std::move(core)) {}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&& other) noexcept {
  SEMPER_ASSERT(!core_ || core_->is_shut_down(), "a journal is shut down before it goes");
  core_ = std::move(other.core_);
  return *this;
}
Journal::~Journal() {
  SEMPER_ASSERT(!core_ || core_->is_shut_down(), "a journal is shut down before it goes");
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

Async<void> Journal::shutdown() {
  return core_->shutdown();
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
  return run_through(core_->sync(position_, deadline));
}

}  // namespace semper::ring
