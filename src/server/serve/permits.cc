#include "server/serve/permits.h"

#include <algorithm>
#include <utility>

#include "server/serve/waiting.h"

namespace semper::internal {

Permit::~Permit() {
  from_->release();
}

bool Permit::is_wanted() const {
  return from_->waiting() > 0;
}

// A place among those who wait, given up however the wait ends.
class Permits::Place {
 public:
  Place(std::shared_ptr<Permits> permits, std::shared_ptr<Ticket> ticket)
      : permits_(std::move(permits)), ticket_(std::move(ticket)) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    {
      std::lock_guard lock(permits_->mutex_);
      auto& waiting = permits_->waiting_;
      waiting.erase(std::remove(waiting.begin(), waiting.end(), ticket_), waiting.end());
      permits_->waiting_count_ = waiting.size();
      if (!ticket_->granted) return;
    }
    permits_->release();  // it was given to somebody who no longer wants it
  }
  // Whether it has come; it is the caller's then.
  bool take() {
    std::lock_guard lock(permits_->mutex_);
    return std::exchange(ticket_->granted, false);
  }

 private:
  const std::shared_ptr<Permits> permits_;
  const std::shared_ptr<Ticket> ticket_;
};

std::shared_ptr<Permit> Permits::try_acquire() {
  {
    std::lock_guard lock(mutex_);
    if (free_ == 0 || !waiting_.empty()) return nullptr;
    --free_;
  }
  return std::make_shared<Permit>(shared_from_this());
}

Async<std::shared_ptr<Permit>> Permits::acquire(HostCore& core) {
  auto ticket = std::make_shared<Ticket>();
  {
    std::lock_guard lock(mutex_);
    if (free_ > 0 && waiting_.empty()) {
      --free_;
      ticket->granted = true;
    } else {
      waiting_.push_back(ticket);
      waiting_count_ = waiting_.size();
    }
  }
  Place place(shared_from_this(), ticket);
  while (!place.take()) {
    if (core.stopping.stop_requested()) co_return fail(ErrorKind::closed, "the host is stopping");
    co_await wait_for_news(core, nullptr, ticket->news, kSafetyInterval);
  }
  co_return std::make_shared<Permit>(shared_from_this());
}

void Permits::release() {
  std::shared_ptr<Ticket> next;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      ++free_;
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_count_ = waiting_.size();
    next->granted = true;
  }
  next->news.set({});
}

}  // namespace semper::internal
