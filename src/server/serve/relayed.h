// RelayedCasts: casts that publishers of other processes of this machine hand to a host, past the
// queue (send/relay.h).
//
// What has come is run in groups: one callback after another, one commit for all (known_group.h).
// What the host does not know of an entity is read first. With the commit goes a mark, for each
// publisher, of which of its casts are in it, and the commit fails if the session's relay row is
// gone. So a publisher that does not wait any longer can find out what was done, and that no more
// will be. The answer goes out when the commit is durable.
//
// Whatever is unusual is declined, and comes back through the queue: an entity that is at work,
// locked, suspected, of another program; a callback that fails, or asks for more than its state;
// a conflict. After trouble the next groups are half as large. Of a commit whose outcome is not
// known nothing is said: the link ends, and the publisher finds out.
//
// When not: where there are no groups (known_group.h), and of types with a rate.
//
// Bounds: kRelayedUnits waiting, past which casts are declined; kRelayedGroupEntities,
// kRelayedGroupsAtOnce. Threads: any; the groups run on the host's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "semper/store/neighbours.h"
#include "server/format/relay_frames.h"
#include "server/serve/known_group.h"

namespace semper::internal {

inline constexpr std::size_t kRelayedUnits = 65'536;
// Two groups are quicker than one of twice the size: one runs while the other is committed.
inline constexpr std::size_t kRelayedGroupEntities = 32;
inline constexpr std::size_t kRelayedGroupsAtOnce = 2;
// Units of entities at work that are passed over in one look. Each publisher has one of an entity
// under way, so mostly there are few.
inline constexpr std::size_t kRelayedBehind = 1'024;
// How often a unit is looked at whose entity is at work, or has messages in its queue: those are
// before it. After that it is declined.
inline constexpr int kRelayedTries = 20;
inline constexpr Duration kRelayedPause = std::chrono::milliseconds(1);
// A publisher that has sent nothing for so long, and knows of all that was taken, is forgotten with
// its session. Where it sends something at that moment, it finds out that nothing of it was taken.
inline constexpr Duration kRelayedIdle = std::chrono::seconds(1);
// Publishers of one type.
inline constexpr std::size_t kRelayedLinks = 128;

class RelayedCasts : public std::enable_shared_from_this<RelayedCasts> {
 public:
  // Null where there is none: the host stops.
  using FindSlot = std::function<std::shared_ptr<Slot>(const std::string& id)>;
  RelayedCasts(std::shared_ptr<const ServedBehaviour> served, FindSlot find_slot);
  ~RelayedCasts();

  // From now on publishers find this host. Where it cannot be found, they use the queue.
  void listen();
  // What waits is declined, what runs is answered, and the links end.
  void stop();
  // Then, where nothing runs any more: the rows go of publishers that know of all that was taken.
  // Where that fails, they stay until a sweep.
  Async<void> see_off_after_stop();

 private:
  class Visitor;
  class Running;
  struct Unit;
  struct Given;
  struct Group;
  using VisitorPointer = std::shared_ptr<Visitor>;

  std::shared_ptr<NeighbourReceiver> accept(std::shared_ptr<NeighbourLink> link);
  void on_casts(const VisitorPointer& visitor, RelayCasts casts);
  void forget(const VisitorPointer& visitor);
  static Task<void> see_off(std::weak_ptr<RelayedCasts> weak, VisitorPointer visitor);
  static Task<void> look_after(std::weak_ptr<RelayedCasts> weak);
  std::optional<std::vector<VisitorPointer>> idle_visitors();

  // Begins groups as long as there is something for one.
  void begin();
  bool may_begin();
  // What waits, for one more that runs. False: there is nothing for it, or enough run.
  bool take_for(Running& running);
  // With the lock: the first that wait, one of each entity that is in no group.
  std::vector<Unit> take();
  static Task<void> run(std::shared_ptr<Running> running);
  Task<bool> run_together(std::vector<Unit>& units);
  Group enter(std::vector<Unit>& units);
  Async<void> learn(Group& group);
  Status mark(Transaction& transaction, Version began_at, Group& group) const;
  static void conclude(Group& group, const Status& status);
  static void leave(std::unique_ptr<KnownMember> member);
  void after(std::vector<Unit>& units, bool went_well);
  bool put_back(std::vector<Unit>& units);
  static Task<void> begin_later(std::weak_ptr<RelayedCasts> weak);

  HostCore& core() const { return served_->core(); }

  const std::shared_ptr<const ServedBehaviour> served_;
  const FindSlot find_slot_;
  Neighbours* const neighbours_;
  const RecentChanges* const changes_;  // null where there are no groups

  std::mutex mutex_;
  bool is_over_ = false;
  std::unique_ptr<Neighbours::Listening> listening_;
  std::vector<VisitorPointer> visitors_;
  std::vector<VisitorPointer> leaving_;  // those of the end
  bool is_looking_after_ = false;        // a coroutine looks for idle ones
  std::deque<Unit> waiting_;
  std::vector<Unit> paused_;                 // for kRelayedPause
  bool is_pausing_ = false;                  // somebody ends that
  std::unordered_set<std::string> at_work_;  // entities of groups that run, and of paused units
  std::size_t running_ = 0;
  std::size_t most_ = kRelayedGroupEntities;  // of the next group
};

}  // namespace semper::internal
