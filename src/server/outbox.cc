#include "outbox.h"

#include <map>
#include <utility>

#include "enqueue.h"
#include "orders.h"
#include "semper/server/ref.h"

namespace semper::internal {

Async<void> Outbox::publish(std::shared_ptr<const Target> target,
                            std::vector<QueuedMessage> messages, std::vector<KeyValue> alongside) {
  const auto& limits = store_.limits();
  Publication publication{std::move(target), std::move(messages), std::move(alongside), {}, 0};
  for (const auto& message : publication.messages) {
    SEMPER_CO_TRY_STATUS(check_message_size(message, limits));
    publication.size_bytes += queued_size(message);
  }
  if (publication.size_bytes > limits.transaction_bytes / 2) {
    co_return fail(ErrorKind::exhausted,
                   "a batch of " + std::to_string(publication.size_bytes) +
                       " bytes is over half the store's limit transaction_bytes = " +
                       std::to_string(limits.transaction_bytes) + "; send it in parts");
  }
  auto done = publication.done;
  bool start = false;
  {
    std::lock_guard lock(mutex_);
    if (waiting_bytes_ + publication.size_bytes > kOutboxBytes) {
      co_return fail(ErrorKind::retry, "more than " + std::to_string(kOutboxBytes) +
                                           " bytes wait to be sent; slow down and send it again");
    }
    waiting_bytes_ += publication.size_bytes;
    waiting_.push_back(std::move(publication));
    start = !std::exchange(running_, true);
  }
  if (start) {
    asio::co_spawn(co_await asio::this_coro::executor, run(shared_from_this()), asio::detached);
  }
  SEMPER_CO_TRY(Status status, co_await done.wait());
  co_return status;
}

// Ends the run also where its coroutine is destroyed in the middle: nobody is left waiting.
class Outbox::Runner {
 public:
  explicit Runner(std::shared_ptr<Outbox> outbox) : outbox_(std::move(outbox)) {}
  ~Runner() {
    if (!outbox_) return;
    std::deque<Publication> orphans;
    {
      std::lock_guard lock(outbox_->mutex_);
      orphans.swap(outbox_->waiting_);
      outbox_->waiting_bytes_ = 0;
      outbox_->running_ = false;
    }
    for (auto& publication : current) {
      publication.done.set(
          fail(ErrorKind::outcome_unknown, "the loop that was sending the message was stopped"));
    }
    for (auto& publication : orphans) {
      publication.done.set(fail(ErrorKind::closed, "the loop that sends messages was stopped"));
    }
  }
  void finished() { outbox_.reset(); }

  std::vector<Publication> current;

 private:
  std::shared_ptr<Outbox> outbox_;
};

Task<void> Outbox::run(std::shared_ptr<Outbox> self) {
  Runner runner(self);
  while (true) {
    runner.current = self->take();
    if (runner.current.empty()) {
      runner.finished();
      co_return;
    }
    Status status = co_await self->refuse_full(runner.current);
    if (status) status = co_await commit(self->store_, runner.current);
    auto sent = std::exchange(runner.current, {});
    // Publishers on this loop send their next message now, so that it is part of the next batch.
    for (auto& publication : sent) publication.done.set_inline(status);
  }
}

std::vector<Publication> Outbox::take() {
  std::vector<Publication> batch;
  const std::size_t bytes_maximum = store_.limits().transaction_bytes / 2;
  const std::size_t operations_maximum = store_.limits().transaction_operations / 2;
  std::size_t bytes = 0;
  std::size_t messages = 0;
  std::size_t operations = 0;
  std::lock_guard lock(mutex_);
  while (!waiting_.empty()) {
    const auto& next = waiting_.front();
    // To another entity than the one before: a segment, its counter, its index entry, a wake-up.
    const bool same = !batch.empty() && batch.back().target == next.target;
    const std::size_t writes = (same ? 0 : kOutboxWritesPerEntity) +
                               next.size_bytes / kSegmentBytes + next.alongside.size();
    const bool fits = bytes + next.size_bytes <= bytes_maximum &&
                      operations + writes <= operations_maximum &&
                      messages + next.messages.size() <= kOutboxMessagesPerCommit;
    if (!batch.empty() && !fits) break;
    bytes += next.size_bytes;
    messages += next.messages.size();
    operations += writes;
    waiting_bytes_ -= next.size_bytes;
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  if (batch.empty()) running_ = false;
  return batch;
}

Async<void> Outbox::refuse_full(std::vector<Publication>& batch) {
  for (auto publication = batch.begin(); publication != batch.end();) {
    const Target& target = *publication->target;
    if (unchecked_.size() >= kOutboxCounts) unchecked_.clear();
    auto& count = unchecked_[target.keys.pushed()];
    count += publication->messages.size();
    if (count < kQueueCheckInterval) {
      ++publication;
      continue;
    }
    SEMPER_CO_TRY(const bool full, co_await is_full(target));
    if (!full) {
      count = 0;
      ++publication;
      continue;
    }
    publication->done.set(
        fail(ErrorKind::retry, "the queue of " + target.id.to_string() + " holds its " +
                                   std::to_string(kQueueMessagesMaximum) +
                                   " messages; is a host serving its type? try again later"));
    publication = batch.erase(publication);
  }
  co_return Status{};
}

Async<bool> Outbox::is_full(const Target& target) {
  Transaction transaction = store_.begin();
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(target.keys.header()));
  SEMPER_CO_TRY(const auto pushed, co_await transaction.get(target.keys.pushed()));
  std::uint64_t popped = 0;
  if (raw) {
    // A header that can not be read is the consumer's to report.
    if (const auto header = Header::decode(*raw)) popped = header->popped;
  }
  co_return count_waiting(pushed, popped) >= kQueueMessagesMaximum;
}

Async<void> Outbox::commit(const Store& store, const std::vector<Publication>& batch) {
  // Per entity, in order of arrival.
  std::map<const Bytes*, std::pair<const EntityKeys*, std::vector<const QueuedMessage*>>,
           decltype([](const Bytes* a, const Bytes* b) { return *a < *b; })>
      by_entity;
  for (const auto& publication : batch) {
    auto& entry = by_entity[&publication.target->keys.pushed()];
    entry.first = &publication.target->keys;
    for (const auto& message : publication.messages) entry.second.push_back(&message);
  }
  auto result = co_await store.transact([&](Transaction& transaction) -> Async<void> {
    Enqueuer enqueuer(transaction);
    for (const auto& [key, entry] : by_entity) enqueuer.add(*entry.first, entry.second);
    enqueuer.finish();
    for (const auto& publication : batch) {
      for (const auto& row : publication.alongside) transaction.set(row.key, row.value);
    }
    co_return Status{};
  });
  co_return result;
}

}  // namespace semper::internal
