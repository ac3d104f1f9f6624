// DueScanner: puts the ticks of timers whose time has come into the queues of their entities.
//
// One coroutine per shard of a type's due index sleeps until the first timer of the shard is due, or the
// shard's counter is touched; a type that never had a timer costs one watch on its mark. A firing is one
// transaction: the timers' rows, their entries and the queues, so that a tick comes once, whichever hosts
// try. Shards that another host prefers are left to it.
//
// Due is what the calendar of this host says; the wait goes by the steady clock, in steps of
// kCalendarLook, so that a calendar that jumps forward is noticed. Two hosts whose calendars differ meet
// in the rows that they read: the later one finds the timer gone, or not due.
//
// Bounds: kTimersFiredPerTransaction, and half of the store's limits. A timer whose row cannot be read
// is left alone, without its entry, and said in the log. One that is beyond this host (of a newer program, or of
// a time zone that its machine does not know) is passed over, keeps its entry, and is looked at again every
// kTimersLookAgain, and whenever another one of its shard is fired.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/serve/membership.h"
#include "server/serve/served_type.h"

namespace semper::internal {

inline constexpr std::size_t kTimersFiredPerTransaction = 256;
// Where the timers of many entities are due one after the other, a shard gathers them for so long. One that is
// alone, or comes again and again, is fired at its time.
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
  // What one transaction has done.
  struct Some {
    std::size_t ticks = 0;
    std::vector<std::string> unreadable;
    std::optional<Error> beyond;  // the last one that was passed over
    Bytes from;                   // where the next transaction begins, then
  };
  // Fires what is due.
  static Async<void> fire_due(ServedType& type, Round& round);
  static Async<Some> fire_some(ServedType& type, Transaction& transaction, Round& round);
  static Task<void> wait(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> news,
                         std::optional<std::int64_t> due_ms, Duration at_most);
};

}  // namespace semper::internal
