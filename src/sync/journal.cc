#include "semper/sync/journal.h"

#include <utility>

#include "semper/env/blocking.h"
#include "sync/deadline.h"

namespace semper::sync {

// Shared with the operation under way, which goes on where nobody waits any more.
struct Journal::Handle {
  std::shared_ptr<BlockDevice> device;
  Clock* clock;
  ring::Journal journal;
};

namespace {

using Device = std::shared_ptr<BlockDevice>;
using SharedJournal = std::shared_ptr<Journal::Handle>;

// The device goes after the perform under way, which outlives a journal that was only destroyed.
Async<void> perform_on_a_thread(Device, std::shared_ptr<Journal::Perform> perform,
                                const std::vector<ring::Item>& batch) {
  auto work = [&] { return (*perform)(batch); };
  co_return co_await run_blocking(work);
}

Async<SharedJournal> start_on(Device device, Journal::Perform perform,
                              ring::JournalOptions options) {
  Clock* const clock = options.ring.env.clock;
  ring::Journal::Perform awaited = [device, shared = std::make_shared<Journal::Perform>(std::move(
                                                perform))](const std::vector<ring::Item>& batch) {
    return perform_on_a_thread(device, shared, batch);
  };
  SEMPER_CO_TRY(auto journal,
                co_await ring::Journal::start(*device, std::move(awaited), std::move(options)));
  co_return std::make_shared<Journal::Handle>(
      Journal::Handle{std::move(device), clock, std::move(journal)});
}

Async<ring::Journal::Waiter> push_of(SharedJournal handle, Bytes operation, Duration timeout) {
  const MonotonicTime deadline = deadline_of(*handle->clock, timeout);
  co_return co_await handle->journal.push(operation, deadline);
}

Async<void> replayed_of(SharedJournal handle, Duration timeout) {
  co_return co_await handle->journal.replayed(deadline_of(*handle->clock, timeout));
}

Async<void> shutdown_of(SharedJournal handle, Duration timeout) {
  co_return co_await handle->journal.shutdown(deadline_of(*handle->clock, timeout));
}

Async<void> sync_of(ring::Journal::Waiter waiter, MonotonicTime deadline) {
  co_return co_await waiter.sync(deadline);
}

}  // namespace

Status Journal::Waiter::sync(Duration timeout) const {
  return wait(sync_of(waiter_, deadline_of(*clock_, timeout)), with_answer_time(timeout),
              Late::had_no_effect);
}

Result<Journal> Journal::start(Device device, Perform perform, ring::JournalOptions options) {
  SEMPER_TRY(auto handle,
             wait(start_on(std::move(device), std::move(perform), std::move(options))));
  return Journal(std::move(handle));
}

Result<Journal> Journal::start(const std::string& path, Perform perform,
                               ring::JournalOptions options) {
  SEMPER_TRY(Device device, open_block_device(path));
  return start(std::move(device), std::move(perform), std::move(options));
}

Result<Journal::Waiter> Journal::push(BytesView operation, Duration timeout) {
  SEMPER_TRY(auto waiter,
             wait(push_of(handle_, Bytes(operation), timeout), with_answer_time(timeout)));
  return Waiter(std::move(waiter), handle_->clock);
}

Status Journal::replayed(Duration timeout) {
  return wait(replayed_of(handle_, timeout), with_answer_time(timeout), Late::had_no_effect);
}

Status Journal::shutdown(Duration timeout) {
  return wait(shutdown_of(handle_, timeout), with_answer_time(timeout));
}

Status Journal::status() const {
  return handle_->journal.status();
}
ring::JournalStatistics Journal::statistics() const {
  return handle_->journal.statistics();
}
std::string Journal::identity() const {
  return handle_->journal.identity();
}

}  // namespace semper::sync
