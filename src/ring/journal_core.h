// JournalCore: the state that a Journal, its waiters and its performing coroutine share.
//
// Invariants:
//   - performed_ never goes back, and every waiter at or before it has been answered;
//   - only the loop pops, performs and advances; pushes only publish;
//   - once ended_ holds an error, nothing is pushed or performed any more.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/env/one_shot.h"
#include "semper/ring/journal.h"

namespace semper::ring::internal {

class JournalCore : public std::enable_shared_from_this<JournalCore> {
 public:
  JournalCore(Producer producer, Consumer consumer, Journal::Perform perform,
              JournalOptions options);

  static Async<std::shared_ptr<JournalCore>> start(BlockDevice& device, Journal::Perform perform,
                                                   JournalOptions options);

  Async<Position> push(BytesView operation, MonotonicTime deadline);
  Async<void> shutdown();

  // Ends the flush interval.
  void hurry();
  Async<void> sync(Position position, MonotonicTime deadline);

  Status status() const;
  JournalStatistics statistics() const;
  std::string identity() const { return producer_.identity(); }
  bool is_shut_down() const;

 private:
  using Event = OneShot<std::monostate>;
  using Done = OneShot<Status>;
  enum class Pass : std::uint8_t { usual, last };
  enum class Ended : std::uint8_t { nothing_left, give_up };

  static Task<void> run(std::shared_ptr<JournalCore> self);
  // Until there is something to perform whose time has come; `last` once it is to stop.
  Task<Pass> wait_until_due();
  // Performs everything that is there, batch by batch.
  Task<Ended> perform_all(Pass pass);
  Async<void> perform(const std::vector<Item>& items);
  // False: the journal is to stop.
  Task<bool> wait_for_retry();
  Async<void> wait_for_room(std::uint64_t advances, MonotonicTime deadline);

  void note_exposed();
  void note_performed(const std::vector<Item>& items);
  void note_room();
  // Ends the journal: everything that waits gets the error.
  void end(const Error& error);
  void wake();
  Clock& clock() const { return *options_.ring.env.clock; }

  Producer producer_;
  Consumer consumer_;
  const Journal::Perform perform_;
  const JournalOptions options_;
  const ForkGuard fork_;
  Gate pushes_{"the journal"};

  mutable std::mutex mutex_;
  std::optional<Event> event_;  // the loop waits for it
  bool stopping_ = false;
  bool urgent_ = true;  // perform at once: at the start, when asked, and when the ring is full
  std::optional<MonotonicTime> first_pushed_;  // of what no pass has looked for yet
  Position performed_;
  std::map<std::pair<Position, std::uint64_t>, Done> waiters_;
  std::uint64_t last_waiter_ = 0;
  std::vector<Done> room_waiters_;
  std::uint64_t advances_ = 0;
  std::optional<Error> ended_;
  JournalStatistics statistics_;
  bool shut_down_ = false;
  Event loop_over_;
};

}  // namespace semper::ring::internal
