// MemoryNeighbours: who talks to whom on one store in memory.
//
// Its handles count as processes. What is sent is delivered on the sender's thread. A fixed order:
// the same calls find the same listeners.
//
// Threads: any. No lock is held while a receiver or an Accept is called.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "semper/store/internal/neighbour_inbox.h"
#include "semper/store/neighbours.h"

namespace semper::memory {

class MemoryLink;

class MemoryNeighbours : public std::enable_shared_from_this<MemoryNeighbours> {
 public:
  // Of one handle on the store.
  using Member = std::uint64_t;

  Member join();
  // Its links and listenings end, and nothing is called on its behalf any more.
  void leave(Member member);

  Result<std::unique_ptr<Neighbours::Listening>> listen(Member member, std::string topic,
                                                        Neighbours::Accept accept);
  bool has_listener(Member member, std::string_view topic) const;
  Result<std::shared_ptr<NeighbourLink>> connect(Member member, std::string_view topic,
                                                 std::shared_ptr<NeighbourReceiver> receiver);

 private:
  friend class MemoryLink;
  class MemoryListening;
  struct Listener {
    Member member;
    std::string topic;
    std::shared_ptr<internal::NeighbourAccept> accept;
  };
  struct Membership {
    std::size_t topics = 0;
    std::map<std::uint64_t, std::shared_ptr<MemoryLink>> links;  // by number, oldest first
  };

  void stop_listening(std::uint64_t number);
  // False: one of them has too many, or has left.
  bool add_link(const std::shared_ptr<MemoryLink>& link);
  void remove_link(const MemoryLink& link);
  Status check_room(Member member) const;

  mutable std::mutex mutex_;
  Member last_member_ = 0;
  std::uint64_t last_listener_ = 0;
  std::uint64_t last_link_ = 0;
  std::uint64_t turn_ = 0;  // whose it is among several listeners
  std::map<Member, Membership> members_;
  std::map<std::uint64_t, Listener> listeners_;
  std::atomic<std::size_t> listening_{0};
};

}  // namespace semper::memory
