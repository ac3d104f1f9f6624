#include "semper/ring/producer.h"

#include <utility>

#include "ring/attach.h"
#include "ring/delivery.h"
#include "ring/producer_core.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring {

Producer::Producer(std::shared_ptr<internal::ProducerCore> core) : core_(std::move(core)) {}
Producer::Producer(Producer&&) noexcept = default;
Producer& Producer::operator=(Producer&&) noexcept = default;
Producer::~Producer() = default;

namespace {

using ProducerHeld = std::shared_ptr<internal::ProducerCore>;

Async<ProducerHeld> hold_producer(BlockDevice& device, AttachOptions options) {
  SEMPER_CO_TRY(
      internal::Attachment attachment,
      co_await internal::attach_side(device, std::move(options), internal::Side::producer));
  co_return std::make_shared<internal::ProducerCore>(std::move(attachment));
}

Async<void> give_producer_back(ProducerHeld held) {
  co_return co_await held->detach();
}

}  // namespace

Async<Producer> Producer::attach(BlockDevice& device, AttachOptions options) {
  Clock& clock = *options.env.clock;
  if (SEMPER_MUTANT("ring_attach_goes_with_its_callers_loop")) {
    SEMPER_CO_TRY(auto held, co_await run_through(hold_producer(device, std::move(options))));
    co_return Producer(std::move(held));
  }
  const std::function<Async<ProducerHeld>()> work = [&device, options] {
    return hold_producer(device, options);
  };
  SEMPER_CO_TRY(auto core, co_await run_through(
                               internal::deliver<ProducerHeld>(clock, work, give_producer_back)));
  co_return Producer(std::move(core));
}

// An operation keeps the core alive from the call on, not only once it is awaited; and where it is
// cancelled, it ends only where it can.
namespace {

using SharedProducer = std::shared_ptr<internal::ProducerCore>;

Async<void> detach(SharedProducer core) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(core->detach());
}
Async<State> state(SharedProducer core) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(core->state());
}
Async<DebugInfo> debug_info(SharedProducer core) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(core->debug_info());
}
Async<void> advance(SharedProducer core, Position position) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(core->advance(position));
}
Async<Position> submit(SharedProducer core, ItemList items, internal::Exposure exposure,
                       MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(core->submit(items, exposure, deadline));
}

}  // namespace

Async<void> Producer::detach() {
  return ring::detach(core_);
}
Async<State> Producer::state() {
  return ring::state(core_);
}
Async<DebugInfo> Producer::debug_info() {
  return ring::debug_info(core_);
}
Async<void> Producer::advance(Position position) {
  return ring::advance(core_, position);
}

Async<Position> Producer::push(ItemList items, MonotonicTime deadline) {
  return submit(core_, items, internal::Exposure::push, deadline);
}

Async<Position> Producer::publish(ItemList items, MonotonicTime deadline) {
  return submit(core_, items, internal::Exposure::publish, deadline);
}

Position Producer::exposed() const noexcept {
  return core_->exposed();
}
Format Producer::format() const noexcept {
  return core_->format().id();
}
std::uint64_t Producer::capacity() const noexcept {
  return core_->format().geometry().capacity;
}
std::uint64_t Producer::max_item_bytes() const noexcept {
  return core_->max_item_bytes();
}
std::string Producer::identity() const {
  return core_->format().identity();
}

}  // namespace semper::ring
