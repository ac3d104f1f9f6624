// Outbox: what the Refs of this process enqueue in one tenant of one store.
//
// Casts and queued calls that arrive while a commit is running wait here and go out together with
// the next one, as few queue segments as there are entities. So the batch grows by itself with the
// load, and no timer delays a lone message.
//
// Bounds: kOutboxBytes waiting; past that submit() answers `retry`. Durability: an operation is
// answered when the transaction that holds all of it has committed.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "records.h"
#include "semper/env/one_shot.h"
#include "target.h"

namespace semper::internal {

inline constexpr std::size_t kOutboxBytes = 64u << 20;
// Entities that the count of messages sent is kept of; past that all counts begin anew.
inline constexpr std::size_t kOutboxCounts = 4096;
// Of one transaction.
inline constexpr std::size_t kOutboxMessagesPerCommit = 4096;
inline constexpr std::size_t kOutboxWritesPerEntity = 4;

struct Publication {
  std::shared_ptr<const Target> target;
  std::vector<QueuedMessage> messages;
  // Written along with it: key and value of the caller's session, where it is not registered yet.
  std::vector<KeyValue> alongside;
  OneShot<Status> done;
  std::size_t size_bytes = 0;
};

class Outbox : public std::enable_shared_from_this<Outbox> {
 public:
  explicit Outbox(Store store) : store_(std::move(store)) {}

  // Enqueues durably. Runs on the calling coroutine's executor.
  Async<void> publish(std::shared_ptr<const Target> target, std::vector<QueuedMessage> messages,
                      std::vector<KeyValue> alongside = {});

 private:
  class Runner;

  static Task<void> run(std::shared_ptr<Outbox> self);
  std::vector<Publication> take();
  static Async<void> commit(const Store& store, const std::vector<Publication>& batch);
  // Answers publications to entities whose queue is full, and takes them out.
  Async<void> refuse_full(std::vector<Publication>& batch);
  Async<bool> is_full(const Target& target);

  const Store store_;
  std::mutex mutex_;
  std::deque<Publication> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool running_ = false;

  // The runner's own: messages sent to an entity since its queue's length was looked at.
  std::unordered_map<Bytes, std::uint64_t> unchecked_;
};

}  // namespace semper::internal
