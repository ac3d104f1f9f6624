// What backends that implement Neighbours share: the calls of a receiver, one after another, and
// the calls of an Accept, none after its Listening has ended.
//
// Threads: any. No lock is held while a receiver or an Accept is called.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "semper/store/neighbours.h"

namespace semper::internal {

// Of one message, next to its bytes: many empty ones are bounded too.
inline constexpr std::size_t kNeighbourMessageCost = 64;

// What waits for the receiver of one end of a link. deliver() hands it over, on the calling thread,
// unless another thread does so at the moment; that one then goes on with what was put meanwhile.
class NeighbourInbox {
 public:
  // It may be called from now on. False: never, because of drop().
  bool attach(std::shared_ptr<NeighbourReceiver> receiver);
  // Errors: retry (kNeighbourBufferBytes wait), closed (it has ended).
  Status put(Bytes message);
  // Nothing can be put any more, and on_end() follows what was put. Only the first call counts.
  void end(Error why);
  // As end(), and what waits is dropped.
  void end_now(Error why);
  // The receiver is not called any more, and let go.
  void drop();

  void deliver();
  // Returns when no other thread is inside the receiver.
  void wait_until_quiet();
  bool has_ended() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable quiet_;
  std::shared_ptr<NeighbourReceiver> receiver_;
  std::deque<Bytes> waiting_;
  std::size_t bytes_ = 0;
  std::optional<Error> end_;
  bool was_told_ = false;
  bool is_delivering_ = false;
  std::thread::id deliverer_;
};

class NeighbourAccept {
 public:
  explicit NeighbourAccept(Neighbours::Accept accept) : accept_(std::move(accept)) {}

  // Attaches who takes the link to `inbox`. False: refused, or no longer wanted.
  bool call(std::shared_ptr<NeighbourLink> link, NeighbourInbox& inbox);
  // No call begins any more; returns when none of another thread runs.
  void end();

 private:
  std::mutex mutex_;
  std::condition_variable quiet_;
  Neighbours::Accept accept_;
  bool has_ended_ = false;
  std::vector<std::thread::id> callers_;
};

// Of a message and of a topic. Errors: exhausted; invalid_argument.
Status check_neighbour_message(const Bytes& message);
Status check_neighbour_topic(std::string_view topic);

}  // namespace semper::internal
