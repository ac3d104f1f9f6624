// Neighbours: an additional interface for backends whose store several processes of one machine
// have open at once: those processes can talk to each other, past the store.
//
// What for: work that one process can do sooner, or cheaper, than the process that has it: a host
// takes casts from publishers (docs/architecture.md). When not: anything that must not be lost.
// Nothing here is durable, and a message that was accepted may never arrive. find_neighbours()
// finds a Backend that also implements this; on others there is nobody to talk to.
//
//   auto heard = neighbours.listen("greetings", [](std::shared_ptr<NeighbourLink> link) {
//     return std::make_shared<MyReceiver>(std::move(link));
//   });
//   // In another process:
//   auto link = neighbours.connect("greetings", std::make_shared<MyAnswers>());
//   auto said = (*link)->send("hello");
//
// Who is a neighbour: whoever may write the store's files. Others can neither listen nor connect,
// nor read what is said. Processes that cannot reach each other, as in containers with networks of
// their own, are nobody to each other.
//
// Bounds: kNeighbourMessageBytes, kNeighbourBufferBytes, kNeighbourLinks, kNeighbourTopics,
// kNeighbourTopicBytes.
// Threads: every member may be called from any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/store.h"

namespace semper {

// Of one message.
inline constexpr std::size_t kNeighbourMessageBytes = 16u << 20;
// That one end of a link has accepted and not handed on yet.
inline constexpr std::size_t kNeighbourBufferBytes = 64u << 20;
// Of one open store.
inline constexpr std::size_t kNeighbourLinks = 256;
inline constexpr std::size_t kNeighbourTopics = 64;
// Of a topic's name; a longer one is an invalid_argument.
inline constexpr std::size_t kNeighbourTopicBytes = 255;

// One end of a link between two processes.
class NeighbourLink {
 public:
  virtual ~NeighbourLink() = default;  // as close()

  // Messages arrive in order, each once, or the link ends. Success: accepted, no more. Never waits.
  // Errors: retry (kNeighbourBufferBytes wait; the other process is slow), exhausted (over
  // kNeighbourMessageBytes), closed (the link has ended).
  virtual Status send(Bytes message) = 0;

  // Ends it, for both. What was accepted may still arrive.
  virtual void close() = 0;
};

// Who is told of what comes. The calls for one link come one after another, on any thread, also
// within connect() and send() of this process. They must not block: hand the work to a loop. They
// may send, and close the link.
class NeighbourReceiver {
 public:
  virtual ~NeighbourReceiver() = default;

  virtual void on_message(Bytes message) = 0;
  // The last call: this end or the other was closed, its process has ended, or its store was
  // closed. `closed` or `io`.
  virtual void on_end(const Error& why) = 0;
};

class Neighbours {
 public:
  virtual ~Neighbours() = default;

  // Who takes a link, or null: it is refused.
  using Accept =
      std::function<std::shared_ptr<NeighbourReceiver>(std::shared_ptr<NeighbourLink> link)>;
  // Ends with its destructor, which waits for a call of `accept` that runs on another thread: none
  // comes after it. Its links stay.
  class Listening {
   public:
    virtual ~Listening() = default;
  };

  // From now on, others find this process under that topic. Errors: exhausted (kNeighbourTopics),
  // unsupported (this process cannot be reached; the message says why), closed.
  virtual Result<std::unique_ptr<Listening>> listen(std::string topic, Accept accept) = 0;

  // Whether another open store, of this process or another, listens. Cheap; may be late.
  virtual bool has_listener(std::string_view topic) const = 0;

  // A link to one that listens, other than through this store itself. Does not wait for it: that it
  // cannot be reached may be known at once, or be told by on_end(). Errors: not_found (nobody
  // listens), retry (it has too many links, or is busy), exhausted (kNeighbourLinks), closed, io.
  virtual Result<std::shared_ptr<NeighbourLink>> connect(
      std::string topic, std::shared_ptr<NeighbourReceiver> receiver) = 0;
};

inline Neighbours* find_neighbours(const Store& store) {
  return dynamic_cast<Neighbours*>(&store.backend());
}

}  // namespace semper
