// Bus<T>: a value that changes, and callbacks that are notified.
//
// What for: "is it intact?", "who leads?", and anything else where each listener needs the current
// value at once and then every change. When not: a stream that must not lose an item because of a
// slow reader, or that a coroutine reads (stream.h).
//
//   semper::Bus<bool> open;
//   auto heard = open.subscribe([](bool now) { lamp(now); });   // at once if there is a value
//   open.publish(true);                                         // calls every subscriber
//   heard.unsubscribe();                                        // or destroy it
//
// Order: each subscriber is called for one value at a time, in the order of publishing, starting
// with the last value published before it subscribed. The bus does not compare values: publish only
// changes.
//
// Threads: everything from any thread, even inside a callback. One thread delivers at a time, with
// no lock held. A publish (or subscribe) that finds another thread delivering, or that happens
// inside a callback, leaves its value to the delivering thread and returns before the callbacks
// have run. At most kMaxPending values wait in this way, plus one for each new subscriber; beyond
// that, the newest waiting value is replaced, and counted in skipped(). The last value always
// arrives.
//
// Callbacks should be short. An exception from a callback is logged and affects no other. A
// callback may destroy its own subscription, and the bus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "semper/durable/internal/bus_core.h"

namespace semper {

// One subscription, which ends when this object is destroyed. May outlive the bus.
class [[nodiscard]] BusSubscription {
 public:
  BusSubscription() = default;
  BusSubscription(std::shared_ptr<internal::BusCore> bus,
                  std::shared_ptr<internal::BusCore::Entry> entry)
      : bus_(std::move(bus)), entry_(std::move(entry)) {}
  BusSubscription(BusSubscription&&) noexcept = default;
  BusSubscription& operator=(BusSubscription&& other) noexcept {
    if (this != &other) {
      unsubscribe();
      bus_ = std::move(other.bus_);
      entry_ = std::move(other.entry_);
    }
    return *this;
  }
  ~BusSubscription() { unsubscribe(); }

  // The callback is not called again. If another thread is inside it, waits until it returns, so
  // that objects it refers to may be freed. Inside a callback of the same bus, returns at once.
  void unsubscribe() {
    const auto bus = std::exchange(bus_, nullptr);
    const auto entry = std::exchange(entry_, nullptr);  // its callback may own this
    if (entry) bus->unsubscribe(entry);
  }

 private:
  std::shared_ptr<internal::BusCore> bus_;
  std::shared_ptr<internal::BusCore::Entry> entry_;
};

template <class T>
class Bus {
 public:
  static constexpr std::size_t kMaxPending = internal::BusCore::kMaxPending;

  Bus() : core_(std::make_shared<internal::BusCore>()) {}
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  BusSubscription subscribe(std::function<void(const T&)> callback) const {
    auto core = core_;
    auto entry = core->subscribe(
        [call = std::move(callback)](const void* value) { call(*static_cast<const T*>(value)); });
    return BusSubscription(std::move(core), std::move(entry));
  }

  void publish(T value) {
    const auto core = core_;
    core->post(std::make_shared<const T>(std::move(value)));
    core->deliver();
  }

  // The two halves of publish, for publishers whose own lock decides the order of values: post()
  // with the lock held (no callback runs), deliver() after it is released.
  void post(T value) { core_->post(std::make_shared<const T>(std::move(value))); }
  void deliver() {
    const auto core = core_;
    core->deliver();
  }

  // The last published value.
  std::optional<T> last() const {
    const auto value = core_->last();
    if (!value) return std::nullopt;
    return *static_cast<const T*>(value.get());
  }
  std::size_t subscribers() const { return core_->subscribers(); }
  // The number of values that were replaced by a newer one before anybody saw them.
  std::uint64_t skipped() const { return core_->skipped(); }

 private:
  std::shared_ptr<internal::BusCore> core_;
};

}  // namespace semper
