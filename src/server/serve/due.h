// DueScanner: sends the ticks of timers whose time has come to their entities.
//
// Two ways. A group of this host delivers them (due_ticks.h): its one transaction runs their
// messages behind what waits for their entities, and writes what the timers become. Or they are put
// into the queues: where the host or its store is not one for groups, where the entity is not (at
// work, locked, failing, slow), where the group was undone, and where a process that has died may
// have died of them: of timers that were due before this host began, or learned that another had
// gone (suspicion.h). For what is announced and counted waits in a queue.
//
// One coroutine per shard of a type's due index sleeps until the first timer of the shard is due,
// or the shard's counter is touched; a type that never had a timer costs one watch on its mark. A
// firing is one transaction: the timers' rows, their entries, and the entities or their queues, so
// that a tick comes once, whichever hosts try. Shards that another host prefers are left to it.
//
// Due is what the calendar of this host says; the wait goes by the steady clock, in steps of
// kCalendarLook, so that a calendar that jumps forward is noticed. Two hosts whose calendars differ
// meet in the rows that they read: the later one finds the timer gone, or not due.
//
// Bounds: kTimersFiredPerTransaction at a time, and half of the store's limits. A timer whose row
// cannot be read is left alone, without its entry, and said in the log. One that is beyond this
// host (of a newer program, or of a time zone that its machine does not know) is passed over, keeps
// its entry, and is looked at again every kTimersLookAgain, and whenever another one of its shard
// is fired.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/format/keys.h"
#include "server/serve/membership.h"
#include "server/serve/served_type.h"

namespace semper::internal {

inline constexpr std::size_t kTimersFiredPerTransaction = 256;
// Where the timers of many entities are due one after the other, a shard gathers them for so long.
// One that is alone, or comes again and again, is fired at its time.
inline constexpr Duration kDenseTimersPause = std::chrono::milliseconds(50);
// The calendar is looked at so often while a timer waits for it: no store is asked.
inline constexpr Duration kCalendarLook = std::chrono::seconds(1);
// Whoever has nothing to wait for looks again after this, whatever watch was lost.
inline constexpr Duration kTimersLookAgain = std::chrono::seconds(30);

class DueScanner {
 public:
  // Until the host stops. Starts the scanners of the shards once the type has timers.
  static Task<void> run(std::shared_ptr<ServedType> type, std::shared_ptr<Membership> membership);

 private:
  static Async<bool> has_timers(HostCore& core, BytesView mark, std::unique_ptr<Watch>& watch);
  static Task<void> run_shard(std::shared_ptr<ServedType> type,
                              std::shared_ptr<Membership> membership, std::uint32_t shard);
  // Of one shard.
  struct Round {
    std::uint32_t shard;
    std::unique_ptr<Watch> watch;
    std::optional<std::int64_t> next_ms;  // when the next one is due, if there is one
    std::string last_fired;               // the entity of the last timer that was due
    bool is_dense;                        // the next one is of another entity
    Bytes from;                           // past those that are beyond this host
  };
  // Those that were due by then go through the queue.
  struct Suspected {
    std::int64_t until_ms = 0;
    std::uint64_t renewals = 0;
    void look(const HostCore& core);
  };
  using Entries = std::vector<DueEntry>;
  // What one transaction has done.
  struct Some {
    std::size_t ticks = 0;
    std::size_t looked = 0;  // at entries
    std::vector<std::string> unreadable;
    std::optional<Error> beyond;  // the last one that was passed over
    Bytes from;                   // past that one
  };
  // Fires what is due.
  static Async<void> fire_due(ServedType& type, const Membership& membership, Round& round,
                              Suspected& suspected);
  static Async<Entries> read_due(ServedType& type, Transaction& transaction, const Round& round);
  // By groups. Returns those that are left, in the order of their times.
  static Async<Entries> deliver(ServedType& type, const Suspected& suspected, Entries due);
  // Through the queues.
  static Async<void> send(ServedType& type, Round& round, const Entries& due);
  static Async<Some> send_some(ServedType& type, Transaction& transaction, const Entries& due,
                               std::size_t first);
  static Task<void> wait(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> news,
                         std::optional<std::int64_t> due_ms, Duration at_most);
};

}  // namespace semper::internal
