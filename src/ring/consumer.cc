#include "semper/ring/consumer.h"

#include <utility>

#include "ring/attach.h"
#include "ring/consumer_core.h"
#include "ring/contained.h"
#include "ring/delivery.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring {

Consumer::Consumer(std::shared_ptr<internal::ConsumerCore> core) : core_(std::move(core)) {}
Consumer::Consumer(Consumer&&) noexcept = default;
Consumer& Consumer::operator=(Consumer&&) noexcept = default;
Consumer::~Consumer() = default;

namespace {

using ConsumerHeld = std::shared_ptr<internal::ConsumerCore>;

Async<ConsumerHeld> hold_consumer(BlockDevice& device, AttachOptions options) {
  SEMPER_CO_TRY(
      internal::Attachment attachment,
      co_await internal::attach_side(device, std::move(options), internal::Side::consumer));
  co_return std::make_shared<internal::ConsumerCore>(std::move(attachment));
}

Async<void> give_consumer_back(ConsumerHeld held) {
  co_return co_await held->detach();
}

}  // namespace

Async<Consumer> Consumer::attach(BlockDevice& device, AttachOptions options) {
  Clock& clock = *options.env.clock;
  if (SEMPER_MUTANT("ring_attach_goes_with_its_callers_loop")) {
    SEMPER_CO_TRY(auto held, co_await run_through(hold_consumer(device, std::move(options))));
    co_return Consumer(std::move(held));
  }
  const std::function<Async<ConsumerHeld>()> work = [&device, options] {
    return hold_consumer(device, options);
  };
  SEMPER_CO_TRY(auto core, co_await run_through(
                               internal::deliver<ConsumerHeld>(clock, work, give_consumer_back)));
  co_return Consumer(std::move(core));
}

// An operation keeps the core alive from the call on, not only once it is awaited; and where it is
// cancelled, it ends only where it can.
namespace {

using SharedConsumer = std::shared_ptr<internal::ConsumerCore>;

Async<void> detach(SharedConsumer core) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const std::function<Async<void>()> work = [core] { return core->detach(); };
  co_return co_await run_through(core->in_turn<void>(work));
}
Async<State> state(SharedConsumer core) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const std::function<Async<State>()> work = [core] { return core->state(); };
  co_return co_await run_through(core->in_turn<State>(work));
}
Async<DebugInfo> debug_info(SharedConsumer core) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const std::function<Async<DebugInfo>()> work = [core] { return core->debug_info(); };
  co_return co_await run_through(core->in_turn<DebugInfo>(work));
}
Async<void> set_suspend(SharedConsumer core, bool suspend) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const std::function<Async<void>()> work = [core, suspend] { return core->set_suspend(suspend); };
  co_return co_await run_through(core->in_turn<void>(work));
}
Async<std::vector<Item>> pop_many(SharedConsumer core, std::optional<Position> from,
                                  PopLimits limits, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(core->pop_many(from, limits, deadline));
}
Async<Item> pop(SharedConsumer core, std::optional<Position> from, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const PopLimits one{.max_items = 1};
  SEMPER_CO_TRY(std::vector<Item> items, co_await run_through(core->pop_many(from, one, deadline)));
  co_return std::move(items.front());
}
Async<Position> for_each(SharedConsumer core, std::function<Status(const ItemView&)> visit,
                         std::optional<Position> from) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  co_return co_await run_through(internal::contained(core->for_each(std::move(visit), from)));
}
Async<void> advance(SharedConsumer core, Position position) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const std::function<Async<void>()> work = [core, position] { return core->advance(position); };
  co_return co_await run_through(core->in_turn<void>(work));
}
Async<Position> resync(SharedConsumer core, Position damaged) {
  SEMPER_CO_TRY_STATUS(core->check_process());
  const std::function<Async<Position>()> work = [core, damaged] { return core->resync(damaged); };
  co_return co_await run_through(core->in_turn<Position>(work));
}

}  // namespace

Async<void> Consumer::detach() {
  return ring::detach(core_);
}
Async<State> Consumer::state() {
  return ring::state(core_);
}
Async<DebugInfo> Consumer::debug_info() {
  return ring::debug_info(core_);
}
Async<void> Consumer::suspend() {
  return set_suspend(core_, true);
}
Async<void> Consumer::resume() {
  return set_suspend(core_, false);
}

Async<Item> Consumer::pop(std::optional<Position> from, MonotonicTime deadline) {
  return ring::pop(core_, from, deadline);
}

Async<std::vector<Item>> Consumer::pop_many(std::optional<Position> from, PopLimits limits,
                                            MonotonicTime deadline) {
  return ring::pop_many(core_, from, limits, deadline);
}

Async<Position> Consumer::for_each(std::function<Status(const ItemView&)> visit,
                                   std::optional<Position> from) {
  return ring::for_each(core_, std::move(visit), from);
}

Async<void> Consumer::advance(Position position) {
  return ring::advance(core_, position);
}
Async<Position> Consumer::resync(Position damaged) {
  return ring::resync(core_, damaged);
}
std::vector<Damage> Consumer::damage() const {
  return core_->damage();
}
Position Consumer::consumed() const noexcept {
  return core_->consumed();
}
Format Consumer::format() const noexcept {
  return core_->format().id();
}
std::uint64_t Consumer::capacity() const noexcept {
  return core_->format().geometry().capacity;
}
std::string Consumer::identity() const {
  return core_->format().identity();
}

}  // namespace semper::ring
