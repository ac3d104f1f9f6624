// TimerBook: what the messages of one transaction do to the timers of their entity.
//
// Most callbacks do not wait, so what they ask of timers is gathered (CallbackSends::timers) and
// written here, before the commit: each timer that is named is read, its row and its entry in the
// due index are written, and the transaction fails with `conflict` where another has changed the
// row meanwhile. The ticks in the queue are looked up before the first callback runs: whether a
// tick is still of the timer that sent it is known message by message, whatever the callbacks
// before it have cancelled. Ticks that are delivered past the queue (serve/due_ticks.h) are asked
// for one by one, each when its turn has come, so that none is sent and not handled.
//
// Bounds: kTimersPerEntity; kTicksPerLook. When not: firing, which has no entity at hand
// (serve/due.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/store/transaction.h"
#include "server/format/keys.h"
#include "server/format/timers.h"

namespace semper::internal {

// Timers whose ticks one attempt handles; the others in the next one.
inline constexpr std::size_t kTicksPerLook = 64;

class TimerBook {
 public:
  // Where the transaction cannot read: `reader` may, at its version or later.
  struct Place {
    Transaction& transaction;
    Transaction& reader;
    const EntityKeys& keys;
  };

  // Of a tick's timer, before any callback.
  Async<void> look(Place place, const std::string& name);
  bool knows(const std::string& name) const { return entries_.contains(name); }
  // The name of its message, where there is such a timer.
  std::optional<std::string_view> message_of(const std::string& name) const;
  // Whether its message was sent with an idempotency key: its tick goes through the queue.
  bool is_keyed(const std::string& name) const;
  // When it is due next, where there is such a timer.
  std::optional<std::int64_t> due_of(const std::string& name) const;
  bool is_empty() const { return entries_.empty(); }

  // The requests take effect for what comes next; they are taken away.
  void note(std::vector<TimerRequest>& requests, std::int64_t now_ms);
  // The timer that has this entry in the due index sends its tick, which is to be handled next, as
  // if it had come through the queue. Nothing, and nothing is done: it is not due, or goes on
  // without a tick, or cannot be fired here.
  std::optional<QueuedMessage> fire(const DueEntry& due, std::int64_t now_ms);
  // The tick of a timer that is known is about to be handled: true; or nobody waits for it any
  // more.
  bool begin(const TickRecord& tick, std::int64_t now_ms);
  // It has been handled, under the lock, whatever became of its timer meanwhile.
  void end(const TickRecord& tick, std::int64_t now_ms);
  // It is not handled after all, but stays at the head of the queue, under the lock.
  void keep(const TickRecord& tick);

  // Delayed casts with keys that were cancelled (cancelled_casts.h); they are taken away.
  bool has_cancelled() const { return !cancelled_.empty(); }
  std::vector<TimerSpec> take_cancelled() { return std::exchange(cancelled_, {}); }
  // Writes what there is to write. Error exhausted: too many timers.
  Async<void> settle(Place place, std::int64_t now_ms);

 private:
  struct Entry {
    bool is_known = false;
    std::optional<TimerRecord> stored;
    std::optional<TimerRecord> now;
    std::optional<TimerRecord> before_tick;
    bool has_changed = false;
    std::vector<TimerRequest> waiting;  // until it is known
  };

  Entry* entry_of(const TickRecord& tick);
  static void go_on_after(Entry& entry, std::int64_t now_ms);
  void set(Entry& entry, TimerRequest request, std::int64_t now_ms);
  void apply(Entry& entry, TimerRequest request, std::int64_t now_ms);
  void cancel(Entry& entry);
  static Async<void> read(Place place, const std::string& name, Entry& entry);
  static void write(Place place, const std::string& name, const Entry& entry);
  Async<void> count(Place place) const;

  std::map<std::string, Entry> entries_;
  std::vector<TimerSpec> cancelled_;
};

// As a dead letter: when it is redriven it is handled, whatever became of its timer.
QueuedMessage without_timer(QueuedMessage message);

Error too_many_timers();

// What stands of the timer in the store is taken away with its entry in the due index; not the
// count.
void clear_timer(Transaction& transaction, const EntityKeys& keys, const std::string& name,
                 const TimerRecord& timer);
// Of a new timer, or one that has changed; with the due index.
void write_timer(Transaction& transaction, const EntityKeys& keys, const std::string& name,
                 const TimerRecord& timer);

}  // namespace semper::internal
