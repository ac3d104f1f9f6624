#include "semper/store/internal/neighbour_inbox.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::internal {

bool NeighbourInbox::attach(std::shared_ptr<NeighbourReceiver> receiver) {
  std::lock_guard lock(mutex_);
  if (was_told_) return false;
  receiver_ = std::move(receiver);
  return true;
}

Status NeighbourInbox::put(Bytes message) {
  std::lock_guard lock(mutex_);
  if (end_) return fail(ErrorKind::closed, "the link has ended; connect again");
  const std::size_t cost = message.size() + kNeighbourMessageCost;
  if (bytes_ + cost > kNeighbourBufferBytes && !SEMPER_MUTANT("neighbour_buffer_unbounded")) {
    return fail(Error(ErrorKind::retry, Limit{"kNeighbourBufferBytes", kNeighbourBufferBytes},
                      "the other end of the link takes nothing; " + std::to_string(bytes_) +
                          " bytes wait for it: send later, or do without"));
  }
  bytes_ += cost;
  waiting_.push_back(std::move(message));
  return {};
}

void NeighbourInbox::end(Error why) {
  std::lock_guard lock(mutex_);
  if (!end_) end_ = std::move(why);
}

void NeighbourInbox::end_now(Error why) {
  std::lock_guard lock(mutex_);
  waiting_.clear();
  bytes_ = 0;
  if (!end_) end_ = std::move(why);
}

void NeighbourInbox::drop() {
  std::shared_ptr<NeighbourReceiver> dropped;
  std::lock_guard lock(mutex_);
  dropped = std::move(receiver_);
  waiting_.clear();
  bytes_ = 0;
  if (!end_) end_.emplace(ErrorKind::closed, "the link has ended");
  was_told_ = true;
}

void NeighbourInbox::deliver() {
  std::unique_lock lock(mutex_);
  if (is_delivering_) return;
  is_delivering_ = true;
  deliverer_ = std::this_thread::get_id();
  while (receiver_) {
    // Kept while it is called: drop() may come from there.
    auto receiver = receiver_;
    if (!waiting_.empty()) {
      Bytes message = std::move(waiting_.front());
      waiting_.pop_front();
      bytes_ -= message.size() + kNeighbourMessageCost;
      lock.unlock();
      receiver->on_message(std::move(message));
    } else if (end_) {
      receiver_.reset();
      was_told_ = true;
      const Error why = *end_;
      lock.unlock();
      receiver->on_end(why);
    } else {
      break;
    }
    receiver.reset();  // with no lock held: it may hold the link
    lock.lock();
  }
  is_delivering_ = false;
  deliverer_ = {};
  quiet_.notify_all();
}

void NeighbourInbox::wait_until_quiet() {
  std::unique_lock lock(mutex_);
  quiet_.wait(lock, [&] { return !is_delivering_ || deliverer_ == std::this_thread::get_id(); });
}

bool NeighbourInbox::has_ended() const {
  std::lock_guard lock(mutex_);
  return end_.has_value();
}

bool NeighbourAccept::call(std::shared_ptr<NeighbourLink> link, NeighbourInbox& inbox) {
  const auto self = std::this_thread::get_id();
  {
    std::lock_guard lock(mutex_);
    if (has_ended_) return false;
    callers_.push_back(self);
  }
  auto receiver = accept_(std::move(link));
  const bool was_taken = receiver && inbox.attach(std::move(receiver));
  std::lock_guard lock(mutex_);
  callers_.erase(std::find(callers_.begin(), callers_.end(), self));
  quiet_.notify_all();
  return was_taken;
}

void NeighbourAccept::end() {
  const auto self = std::this_thread::get_id();
  std::unique_lock lock(mutex_);
  has_ended_ = true;
  quiet_.wait(lock, [&] {
    return std::all_of(callers_.begin(), callers_.end(), [&](auto id) { return id == self; });
  });
}

Status check_neighbour_message(const Bytes& message) {
  if (message.size() <= kNeighbourMessageBytes) return {};
  return fail(Error(ErrorKind::exhausted, Limit{"kNeighbourMessageBytes", kNeighbourMessageBytes},
                    "a message of " + std::to_string(message.size()) +
                        " bytes is too large for a link between processes: " +
                        std::to_string(kNeighbourMessageBytes) + " at most"));
}

Status check_neighbour_topic(std::string_view topic) {
  if (topic.size() <= kNeighbourTopicBytes) return {};
  return fail(
      Error(ErrorKind::invalid_argument, Limit{"kNeighbourTopicBytes", kNeighbourTopicBytes},
            "a topic of " + std::to_string(topic.size()) +
                " bytes is too long: " + std::to_string(kNeighbourTopicBytes) + " at most"));
}

}  // namespace semper::internal
