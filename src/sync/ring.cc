#include "semper/sync/ring.h"

#include <utility>

#include "sync/deadline.h"

namespace semper::sync {

// Shared with the operation under way, which goes on where nobody waits any more.
struct Producer::Handle {
  std::shared_ptr<BlockDevice> device;
  Clock* clock;
  ring::Producer side;
};
struct Consumer::Handle {
  std::shared_ptr<BlockDevice> device;
  Clock* clock;
  ring::Consumer side;
};

namespace {

using Device = std::shared_ptr<BlockDevice>;
using P = std::shared_ptr<Producer::Handle>;
using C = std::shared_ptr<Consumer::Handle>;

Result<Device> open(const std::string& path) {
  SEMPER_TRY(Device device, open_block_device(path));
  return device;
}

Async<void> create_on(Device device, ring::CreateOptions options) {
  co_return co_await ring::create(*device, std::move(options));
}

// Handle is made of what `attach` gives.
template <class Handle, class Side>
Async<std::shared_ptr<Handle>> attach_on(Device device, ring::AttachOptions options) {
  Clock* const clock = options.env.clock;
  SEMPER_CO_TRY(Side side, co_await Side::attach(*device, std::move(options)));
  co_return std::make_shared<Handle>(Handle{std::move(device), clock, std::move(side)});
}

template <class H>
Async<void> advance_of(H handle, ring::Position position) {
  co_return co_await handle->side.advance(position);
}
template <class H>
Async<ring::State> state_of(H handle) {
  co_return co_await handle->side.state();
}
template <class H>
Async<ring::DebugInfo> debug_info_of(H handle) {
  co_return co_await handle->side.debug_info();
}
template <class H>
Async<void> detach_of(H handle) {
  co_return co_await handle->side.detach();
}

enum class How : std::uint8_t { push, publish };

Async<ring::Position> put(P handle, How how, std::vector<Bytes> items, Duration timeout) {
  const MonotonicTime deadline = deadline_of(*handle->clock, timeout);
  const ring::ItemList list(items);
  if (how == How::push) co_return co_await handle->side.push(list, deadline);
  co_return co_await handle->side.publish(list, deadline);
}

std::vector<Bytes> one(BytesView item) {
  std::vector<Bytes> items;
  items.emplace_back(item);
  return items;
}

Async<ring::Item> pop_of(C handle, std::optional<ring::Position> from, Duration timeout) {
  co_return co_await handle->side.pop(from, deadline_of(*handle->clock, timeout));
}
Async<std::vector<ring::Item>> pop_many_of(C handle, std::optional<ring::Position> from,
                                           ring::PopLimits limits, Duration timeout) {
  co_return co_await handle->side.pop_many(from, limits, deadline_of(*handle->clock, timeout));
}
Async<ring::Position> resync_of(C handle, ring::Position damaged) {
  co_return co_await handle->side.resync(damaged);
}
Async<void> suspend_of(C handle) {
  co_return co_await handle->side.suspend();
}
Async<void> resume_of(C handle) {
  co_return co_await handle->side.resume();
}

}  // namespace

Status create_ring(Device device, ring::CreateOptions options) {
  return wait(create_on(std::move(device), std::move(options)));
}
Status create_ring(const std::string& path, ring::CreateOptions options) {
  SEMPER_TRY(auto device, open(path));
  return create_ring(std::move(device), std::move(options));
}

Result<Producer> Producer::attach(Device device, ring::AttachOptions options) {
  SEMPER_TRY(auto handle,
             wait(attach_on<Handle, ring::Producer>(std::move(device), std::move(options))));
  return Producer(std::move(handle));
}
Result<Producer> Producer::attach(const std::string& path, ring::AttachOptions options) {
  SEMPER_TRY(auto device, open(path));
  return attach(std::move(device), std::move(options));
}

Result<ring::Position> Producer::push(BytesView item, Duration timeout) {
  return push(one(item), timeout);
}
Result<ring::Position> Producer::push(std::vector<Bytes> items, Duration timeout) {
  return wait(put(handle_, How::push, std::move(items), timeout), with_answer_time(timeout));
}
Result<ring::Position> Producer::publish(BytesView item, Duration timeout) {
  return publish(one(item), timeout);
}
Result<ring::Position> Producer::publish(std::vector<Bytes> items, Duration timeout) {
  return wait(put(handle_, How::publish, std::move(items), timeout), with_answer_time(timeout));
}
Status Producer::advance(ring::Position position, Duration timeout) {
  return wait(advance_of(handle_, position), timeout);
}
Result<ring::State> Producer::state(Duration timeout) {
  return wait(state_of(handle_), timeout);
}
Result<ring::DebugInfo> Producer::debug_info(Duration timeout) {
  return wait(debug_info_of(handle_), timeout, Late::had_no_effect);
}
Status Producer::detach(Duration timeout) {
  return wait(detach_of(handle_), timeout);
}
ring::Position Producer::exposed() const {
  return handle_->side.exposed();
}
std::uint64_t Producer::capacity() const {
  return handle_->side.capacity();
}
std::uint64_t Producer::max_item_bytes() const {
  return handle_->side.max_item_bytes();
}
std::string Producer::identity() const {
  return handle_->side.identity();
}

Result<Consumer> Consumer::attach(Device device, ring::AttachOptions options) {
  SEMPER_TRY(auto handle,
             wait(attach_on<Handle, ring::Consumer>(std::move(device), std::move(options))));
  return Consumer(std::move(handle));
}
Result<Consumer> Consumer::attach(const std::string& path, ring::AttachOptions options) {
  SEMPER_TRY(auto device, open(path));
  return attach(std::move(device), std::move(options));
}

Result<ring::Item> Consumer::pop(Duration timeout, std::optional<ring::Position> from) {
  return wait(pop_of(handle_, from, timeout), with_answer_time(timeout), Late::had_no_effect);
}
Result<std::vector<ring::Item>> Consumer::pop_many(Duration timeout,
                                                   std::optional<ring::Position> from,
                                                   ring::PopLimits limits) {
  return wait(pop_many_of(handle_, from, limits, timeout), with_answer_time(timeout),
              Late::had_no_effect);
}
Status Consumer::advance(ring::Position position, Duration timeout) {
  return wait(advance_of(handle_, position), timeout);
}
Result<ring::Position> Consumer::resync(ring::Position damaged, Duration timeout) {
  return wait(resync_of(handle_, damaged), timeout, Late::had_no_effect);
}
Status Consumer::suspend(Duration timeout) {
  return wait(suspend_of(handle_), timeout);
}
Status Consumer::resume(Duration timeout) {
  return wait(resume_of(handle_), timeout);
}
Result<ring::State> Consumer::state(Duration timeout) {
  return wait(state_of(handle_), timeout, Late::had_no_effect);
}
Result<ring::DebugInfo> Consumer::debug_info(Duration timeout) {
  return wait(debug_info_of(handle_), timeout, Late::had_no_effect);
}
Status Consumer::detach(Duration timeout) {
  return wait(detach_of(handle_), timeout);
}
std::vector<ring::Damage> Consumer::damage() const {
  return handle_->side.damage();
}
ring::Position Consumer::consumed() const {
  return handle_->side.consumed();
}
std::uint64_t Consumer::capacity() const {
  return handle_->side.capacity();
}
std::string Consumer::identity() const {
  return handle_->side.identity();
}

}  // namespace semper::sync
