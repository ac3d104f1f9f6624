// WatchHub: the watches of one open handle, shared by key, and what keeps them from being lost.
//
// FoundationDB watches a key against a value: its watch is ready when the value is another one. All
// watches of a handle on a key whose snapshots saw the same value share one of FoundationDB's,
// which is armed at the version of the first of those snapshots. A watch whose snapshot saw another
// value proves that the key has changed: whoever is older fires at once.
//
//   armed      FoundationDB watches: at most kArmedMaximum keys, FoundationDB's limit for a
//              connection
//   looked at  beyond that, and where arming or watching failed (the cluster changed its version, a
//              storage server gave the watch up, the version was too old): the key is read after a
//              while, compared, and armed again
//
// Never lost: a watch knows the value that its snapshot saw, and whatever goes wrong ends in a
// comparison of the present value with that one. A value that changes and changes back in between
// may go unnoticed, as FoundationDB says of its own watches: nothing is different then from what
// the watcher knows.
//
// The upkeep runs on one thread of the hub, started at the first watch; a key takes one coroutine
// there. Threads: any.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "connection.h"
#include "semper/env/backoff.h"
#include "semper/env/scheduler.h"

namespace semper::foundationdb {

// Keys that FoundationDB watches for one handle.
inline constexpr std::size_t kArmedMaximum = kConnectionWatches;
// Keys that are watched or looked at, and watches on all of them together.
inline constexpr std::size_t kWatchedKeysMaximum = 20'000;
inline constexpr std::size_t kWatchesMaximum = 100'000;
// Between two looks at a key that FoundationDB cannot watch for us.
inline constexpr Duration kLookInterval = std::chrono::seconds(2);
// After a failure.
inline constexpr BackoffOptions kWatchBackoff = {.initial = std::chrono::milliseconds(10),
                                                 .maximum = std::chrono::seconds(2)};

// A value, or that there is none, in as many bytes as it takes to tell two apart.
struct ValuePrint {
  bool present = false;
  std::size_t size = 0;
  std::size_t hash = 0;
  std::uint32_t checksum = 0;

  static ValuePrint of(const std::optional<Bytes>& value);
  friend bool operator==(const ValuePrint&, const ValuePrint&) = default;
};

class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  struct Bounds {
    std::size_t armed = kArmedMaximum;
    std::size_t keys = kWatchedKeysMaximum;
    std::size_t watches = kWatchesMaximum;
  };
  explicit WatchHub(std::shared_ptr<Connection> connection) : WatchHub(connection, Bounds()) {}
  WatchHub(std::shared_ptr<Connection> connection, Bounds bounds)
      : connection_(std::move(connection)), bounds_(bounds) {}
  ~WatchHub();

  struct Seen {
    Version version = 0;
    ValuePrint value;
  };
  // Errors: exhausted (too many; no thread), closed.
  Result<std::unique_ptr<Watch>> add(BytesView key, const Seen& seen);

  // Fires everything with `closed` and ends the thread. Not on that thread.
  void close();

 private:
  enum class Event : std::uint8_t { changed, closed };
  enum class Armed : std::uint8_t { changed, failed, no_room };

  // One watch that was handed out.
  struct Waiter {
    std::optional<Event> fired;  // with the hub's mutex held
    OneShot<Event> event;
  };
  // One key with one value that is waited to change.
  struct Entry {
    Bytes key;
    Seen seen;
    std::vector<std::shared_ptr<Waiter>> waiters;
    bool over = false;             // nobody waits any more
    Future::Canceller disarm;      // of FoundationDB's watch, where it is armed
    OneShot<std::monostate> stop;  // ends a pause
  };
  using EntryPtr = std::shared_ptr<Entry>;
  class Handle;

  // With the mutex held.
  static void fire(Entry& entry, Event event);
  Status check_room() const;
  void retire(const EntryPtr& entry);
  EntryPtr entry_for(BytesView key, const Seen& seen, bool& already_changed);
  void start(const EntryPtr& entry);
  Status start_thread();

  void leave(const EntryPtr& entry, const std::shared_ptr<Waiter>& waiter);
  std::optional<Event> fired(const Waiter& waiter) const;

  Task<void> keep(EntryPtr entry);
  Async<bool> has_changed(const EntryPtr& entry);
  Task<Armed> arm(EntryPtr entry);
  Async<FdbError> wait_armed(const EntryPtr& entry);
  bool take_place();
  bool is_over(const EntryPtr& entry) const;
  void fire_changed(const EntryPtr& entry);

  const std::shared_ptr<Connection> connection_;
  const Bounds bounds_;

  mutable std::mutex mutex_;
  std::map<Bytes, EntryPtr, std::less<>> entries_;
  std::size_t watches_ = 0;
  std::size_t armed_ = 0;
  bool closed_ = false;
  // Last: ends before what its coroutines use.
  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace semper::foundationdb
