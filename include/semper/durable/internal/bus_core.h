// What bus.h does, with the type of the value forgotten.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace semper::internal {

// The bus with the type of its value forgotten.
class BusCore {
 public:
  using Value = std::shared_ptr<const void>;
  using Callback = std::function<void(const void*)>;
  static constexpr std::size_t kMaxPending = 1024;

  struct Entry {
    Callback callback;
    std::uint64_t first_event = 0;  // events before it are not for this one
    bool active = true;
  };

  void post(Value value);
  void deliver();
  std::shared_ptr<Entry> subscribe(Callback callback);
  void unsubscribe(const std::shared_ptr<Entry>& entry);

  Value last() const;
  std::size_t subscribers() const;
  std::uint64_t skipped() const;

 private:
  struct Event {
    Value value;
    std::uint64_t number;
    std::shared_ptr<Entry> only;  // null: for all
  };
  void deliver_event(Event event, std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable callback_returned_;
  std::vector<std::shared_ptr<Entry>> entries_;
  std::deque<Event> pending_;
  Value last_;
  std::uint64_t events_ = 0;
  std::uint64_t skipped_ = 0;
  bool delivering_ = false;
  std::thread::id deliverer_;
  const Entry* running_ = nullptr;  // whose callback runs now
};

}  // namespace semper::internal
