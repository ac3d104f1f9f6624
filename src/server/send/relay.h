// Relay: hands casts to a host of another process of this machine, past the queue.
//
// A cast through the queue is written by its publisher, read by a host, and removed: three changes
// of the store, by two processes that turn each other's caches stale. Where a host of this machine
// serves the type (neighbours.h), it is handed the casts, runs them with those of others in one
// transaction (serve/relayed.h), and answers when that is durable. What it cannot run at once (an
// entity that is locked, at work for long, or fails) it declines, and that goes through the queue.
//
// Each once. The publisher has a session in the store; a host commits what it takes together with a
// mark of which casts these were, and only as long as the session's relay row is there. Where the
// link ends, or no answer comes for kRelayPatience, the publisher removes that row and reads the
// marks in one transaction: nothing can be committed for it after that, and what was not is sent
// through the queue. Where the session may have been swept since (this process did not run for
// long), nobody can know: outcome_unknown.
//
// In order. Of one entity, one unit of casts is on its way to a host at a time, and what comes
// meanwhile is the next one. Where many wait (kRelayHot), the queue is quicker, which takes one
// batch after another without an answer from the host. While one cast of an entity goes through the
// queue, all do.
//
// There is no thread and no loop of its own: whatever waits does so in the coroutine of a caller,
// and if that is gone, in another one's.
//
// Bounds: kRelayBytes; past that casts go through the queue, whose outbox has its own. Durability:
// as of the queue. Threads: any.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/store/neighbours.h"
#include "server/format/relay_frames.h"
#include "server/format/target.h"
#include "server/send/loop.h"
#include "server/send/outbox.h"

namespace semper::internal {

// Of casts that are on their way to a host.
inline constexpr std::size_t kRelayBytes = 32u << 20;
// Of one cast, or of the casts of one unit.
inline constexpr std::size_t kRelayUnitMessages = 64;
inline constexpr std::size_t kRelayUnitBytes = 256u << 10;
// Casts of one entity that wait for those under way, from which on they go through the queue.
inline constexpr std::size_t kRelayHot = 8;
// Past this, a message between the processes is sent.
inline constexpr std::size_t kRelayMessageBytes = 1u << 20;
// After this without an answer, the publisher finds out what was taken, and sends the rest itself.
inline constexpr Duration kRelayPatience = std::chrono::seconds(1);
// After trouble, until another host is asked; twice as long each time that the last one was of no
// use, up to the maximum.
inline constexpr Duration kRelayPause = std::chrono::seconds(1);
inline constexpr Duration kRelayPauseMaximum = std::chrono::minutes(1);
// After so many answers a link is given up where three of four were refusals: it only delays them.
inline constexpr std::size_t kRelayTrial = 256;
// A link, and the session for it, are worth their while for so many casts.
inline constexpr int kRelayWorth = 8;
inline constexpr Duration kRelayWorthWithin = std::chrono::seconds(1);

class Relay : public std::enable_shared_from_this<Relay> {
 public:
  // Borrows the neighbours, which are the store's.
  Relay(Tenant tenant, const std::string& type, Neighbours& neighbours,
        std::shared_ptr<Outbox> outbox);

  ~Relay();

  // Of entities of that type. Results as of Outbox::cast().
  Async<void> cast(std::shared_ptr<const Target> target, std::vector<RawMessage> messages);

 private:
  enum class State : std::uint8_t { off, starting, on, broken };
  enum class Verdict : std::uint8_t {
    taken,
    queue,    // the caller sends it that way
    look,     // the caller finds out what became of all
    unknown,  // nobody can
  };
  struct Cast;
  using CastPointer = std::shared_ptr<Cast>;
  class Holding;
  class Receiver;
  class Flusher;
  class Starting;
  class Resolving;
  struct Lane {
    std::size_t under_way = 0;
    bool in_queue = false;  // what is under way goes through the queue, as what comes meanwhile
    std::deque<CastPointer> waiting;
  };
  struct Unit {
    std::vector<CastPointer> casts;
    MonotonicTime sent_at = kNever;
  };
  using Verdicts = std::vector<std::pair<OneShot<Verdict>, Verdict>>;

  bool enter(const CastPointer& cast, const Executor& from);
  void leave(const CastPointer& cast);
  Async<bool> wait(CastPointer cast);
  // At a caller's wake-up without a verdict: whether it is to find out.
  bool should_resolve();
  Async<void> resolve();
  Async<void> clean_up(Bytes session);

  static Task<void> start(std::shared_ptr<Starting> starting);
  Async<void> begin_session(Bytes session);
  void flush();
  void on_answers(std::uint64_t link, const Bytes& bytes);
  void on_end(std::uint64_t link);

  // With the lock.
  bool place(const CastPointer& cast);
  bool may_take(const Cast& cast) const;
  std::shared_ptr<Starting> begin_to_start();
  void next(const std::string& id, Verdicts& verdicts);
  static void to_queue(Cast& cast, Verdicts& verdicts);
  static void to_queue(Lane& lane, Verdicts& verdicts);
  void take_unit(Lane& lane);
  void settle(Unit unit, RelayAnswer answer, Verdicts& verdicts);
  void leave_open(Unit unit, Verdicts& verdicts);
  void drop_where_nobody_waits(Verdicts& verdicts);
  bool is_of_no_use();
  void link_is_up_to_date();
  Bytes take_frame(std::uint64_t& link, std::shared_ptr<NeighbourLink>& to);
  void check() const;

  const Tenant tenant_;
  const Bytes topic_;
  Neighbours& neighbours_;
  const std::shared_ptr<Outbox> outbox_;

  std::mutex mutex_;
  State state_ = State::off;
  MonotonicTime not_before_{};
  Duration pause_ = kRelayPause;
  std::size_t taken_ = 0;  // units of the trial that lasts
  std::size_t declined_ = 0;
  MonotonicTime counted_since_{};
  int counted_ = 0;          // casts since then
  std::uint64_t links_ = 0;  // the number of the last one
  std::shared_ptr<NeighbourLink> link_;
  Bytes session_;              // known to be in the store; empty: none
  std::size_t untracked_ = 0;  // casts that went through the queue before there was a link
  std::unordered_map<std::string, Lane> lanes_;
  std::map<std::uint64_t, Unit> in_flight_;
  std::vector<std::uint64_t> outgoing_;  // of those, not sent yet
  std::size_t bytes_ = 0;                // of those
  std::uint64_t last_number_ = 0;
  std::uint64_t told_ = 0;             // up to this the host knows that all were answered
  std::set<const void*> flushing_on_;  // loops that will
  bool resolving_ = false;
};

// The relays of one tenant.
class Relays {
 public:
  Relays(Tenant tenant, std::shared_ptr<Outbox> outbox);
  // Null: this store has no neighbours.
  std::shared_ptr<Relay> to(const std::string& type);

 private:
  const Tenant tenant_;
  Neighbours* const neighbours_;
  const std::shared_ptr<Outbox> outbox_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Relay>> relays_;
};

}  // namespace semper::internal
