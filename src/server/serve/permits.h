// Permits to be at work, so many at a time; who waits longest is next.
//
// A permit is given back when the last copy of its pointer goes, and goes to the first who waits.
// Who holds one for long can see that others wait, and give way. Bound: those who wait are
// coroutines of the host, one per shard of a type, and those that run a message alone.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

#include "semper/env/one_shot.h"
#include "server/serve/host_core.h"

namespace semper::internal {

class Permits;

class Permit {
 public:
  explicit Permit(std::shared_ptr<Permits> from) : from_(std::move(from)) {}
  ~Permit();
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

  // Somebody waits for one.
  bool is_wanted() const;

 private:
  const std::shared_ptr<Permits> from_;
};

class Permits : public std::enable_shared_from_this<Permits> {
 public:
  explicit Permits(std::size_t most) : free_(most) {}

  // Waits for one. Error: closed, the host stops.
  Async<std::shared_ptr<Permit>> acquire(HostCore& core);
  // Null where none is free, or others wait.
  std::shared_ptr<Permit> try_acquire();

  std::size_t waiting() const { return waiting_count_.load(std::memory_order_relaxed); }

 private:
  friend class Permit;
  class Place;
  struct Ticket {
    OneShot<std::monostate> news;
    bool granted = false;
  };

  void release();

  mutable std::mutex mutex_;
  std::size_t free_;
  std::deque<std::shared_ptr<Ticket>> waiting_;
  std::atomic<std::size_t> waiting_count_{0};
};

}  // namespace semper::internal
