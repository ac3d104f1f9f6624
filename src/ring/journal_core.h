// JournalCore: the state that a Journal, its waiters and its performing coroutine share.
//
// Invariants:
//   - performed_ never goes back, and every waiter at or before it has been answered;
//   - only the loop pops, performs and detaches; pushes only publish; one removal at a time is
//     under way, beside what is performed next, of nothing but what was performed;
//   - fresh_ are items of the ring, durable and exposed, one behind the other;
//   - once ended_ holds an error, nothing is pushed or performed any more;
//   - after kill() nothing touches the device but operations that had begun: the handles are gone.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ring/apart.h"
#include "ring/turn.h"
#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/env/one_shot.h"
#include "semper/ring/consumer.h"
#include "semper/ring/journal_options.h"
#include "semper/ring/producer.h"

namespace semper::ring::internal {

// Of options.ring.memory_bytes, for items that this process has pushed and not yet performed. What
// is beyond is read from the ring.
inline constexpr std::size_t kFreshShare = 4;

class JournalCore : public std::enable_shared_from_this<JournalCore> {
 public:
  // As Journal's.
  using Perform = std::function<Async<void>(const std::vector<Item>&)>;

  JournalCore(BlockDevice& device, Producer producer, Consumer consumer, const Perform& perform,
              JournalOptions options);

  static Async<std::shared_ptr<JournalCore>> start(BlockDevice& device, Perform perform,
                                                   JournalOptions options);

  Async<Position> push(BytesView operation, MonotonicTime deadline);
  Async<void> shutdown(MonotonicTime deadline);
  // Ends at once, as a process that dies: waits for nothing, records nothing.
  void kill() noexcept;

  // Ends the flush interval.
  void hurry();
  Async<void> sync(Position position, MonotonicTime deadline);
  bool is_performed(Position position) const;
  // The end of what was in the ring at the start.
  Position found() const { return found_; }

  Status status() const;
  JournalStatistics statistics() const;
  std::string identity() const { return identity_; }

 private:
  using Event = OneShot<std::monostate>;
  using Done = OneShot<Status>;
  using WaiterKey = std::pair<Position, std::uint64_t>;
  enum class Pass : std::uint8_t { usual, last };
  struct Over;

  // The loop, journal_loop.cc.
  static Task<void> run(std::shared_ptr<JournalCore> self, std::shared_ptr<const Perform> perform);
  Task<void> wait_for_pushes();
  // Until there is something to perform whose time has come; `last` once it is to stop.
  Task<Pass> wait_until_due();
  // Performs everything that is there, batch by batch.
  Task<void> perform_all(Pass pass);
  Async<std::vector<Item>> pop();
  // Of what this process has pushed and still has, from the position on.
  std::vector<Item> take_fresh(Position from, const PopLimits& limits);
  Position exposed() const;
  Async<void> perform(const std::vector<Item>& items);
  // Removes what was performed; false: nothing more can be done.
  Task<bool> remove(Position end, Pass pass);
  // The same beside what is performed next.
  Task<void> remove_beside(Position end);
  static Task<void> removing(std::shared_ptr<JournalCore> self);
  // What fails is left to mend_removal().
  Async<void> write_removal(Position end);
  // False: nothing more can be done.
  Task<bool> mend_removal();
  // False: the journal is to stop.
  Task<bool> wait_for_retry();
  // Null where nothing is to be performed any more.
  std::shared_ptr<Consumer> working_consumer() const;
  void drop_performed(std::vector<Item>& items) const;
  Task<void> finish();

  // What is written, journal_push.cc.
  Async<Position> write_down(const ItemList& item, MonotonicTime deadline);
  Async<Position> write_when_there_is_room(const ItemList& item, MonotonicTime deadline);
  Async<void> wait_for_room(std::uint64_t advances, MonotonicTime deadline,
                            const Turn::Holder& turn);
  // The producer, with another one in its place where it had failed. kNoWait waits for that one.
  Async<std::shared_ptr<Producer>> working_producer(MonotonicTime deadline);
  Async<std::shared_ptr<Producer>> renew_producer();  // with the turn
  Async<void> renew_consumer();
  AttachOptions attach_options() const;

  // The invariants above, where waiters come and go. With mutex_.
  void check() const;
  Status check_open() const;  // with mutex_
  // Has the loop told what each round of this producer exposes, whoever waits for it.
  void listen_to(Producer& producer);
  void note_exposed(std::vector<Item> items);
  void keep_fresh(std::vector<Item> items);  // with mutex_
  static std::size_t cost(const Item& item) { return sizeof(Item) + item.bytes.size(); }
  void note_performed(const std::vector<Item>& items);
  void note_room();
  // Ends the journal, where that is no error that may pass (`passes`: the device had said so):
  // everything that waits gets it.
  void note_failure(const Error& error, bool passes, std::optional<Error>& trouble);
  // The same of a side that could not be attached again: others may have its role for a moment.
  void note_failed_renewal(const Error& error, std::optional<Error>& trouble);
  void note_trouble(const Error& error, std::optional<Error>& trouble);
  void end(const Error& error);
  void wake();
  Clock& clock() const { return *options_.ring.env.clock; }

  BlockDevice& device_;
  // The loop's, and gone with it: the last of this core may go on a thread of the device's, where
  // nothing of the user's may go, least of all a device.
  const Perform* const perform_;
  const JournalOptions options_;
  const ForkGuard fork_{};
  const std::string identity_;
  const Position found_;
  Gate pushes_{"the journal"};
  Turn line_;         // of pushes that wait for room
  WorkDesk renewal_;  // of the producer

  mutable std::mutex mutex_;
  // Null once the journal has ended. Whoever begins an operation holds it for the length of that,
  // and of nothing else: kill() is to free them while the device is there.
  std::shared_ptr<Producer> producer_;
  std::shared_ptr<Consumer> consumer_;
  std::optional<Event> event_;  // the loop waits for it
  bool stopping_ = false;
  bool urgent_ = true;  // perform at once: at the start, when asked, and when the ring is full
  std::optional<MonotonicTime> first_pushed_;  // of what no pass has looked for yet
  Position performed_;
  std::map<WaiterKey, Done> waiters_;
  std::uint64_t last_waiter_ = 0;
  std::vector<Done> room_waiters_;
  std::uint64_t advances_ = 0;
  std::optional<Error> ended_;
  std::optional<Error> push_trouble_;    // until a write has found room again
  std::optional<Error> remove_trouble_;  // the same, of the consumer's
  Position removal_;  // what the removal under way, or the one after it, goes up to
  bool removal_runs_ = false;
  std::optional<Error> removal_error_;  // that mend_removal() is to see
  bool removal_error_passes_ = false;
  std::deque<Item> fresh_;
  std::size_t fresh_bytes_ = 0;
  JournalStatistics statistics_;
  std::optional<Status> outcome_;  // of the shutdown
  std::map<std::uint64_t, Done> shutdown_waiters_;

  // The loop's own: what the next perform is given at most, and where it begins; none: where the
  // consumer stands.
  std::size_t most_items_;
  std::optional<Position> next_;
};

}  // namespace semper::ring::internal
