// WatchHub: the watches of one open handle, and what wakes them.
//
// Each key belongs to one of kWatchSlots slots in the sidecar. A committer counts up the slots of
// the keys that it changed, then wakes the processes that watch one of those: their wake-up thread
// sleeps on a futex word of its own. It then compares the row's version with the one that the
// watch's snapshot saw, so that another key in the same slot wakes nobody for nothing. The watches
// of the committing handle itself are fired at once.
//
// Never lost: a watch is registered first and compared with the present version of the store
// afterwards; a commit publishes its version first and looks for watches afterwards. One of the two
// sees the other. What a dying committer did not announce is found by kSafetyPoll.
//
// Threads: any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fork_guard.h"
#include "reader.h"
#include "semper/env/one_shot.h"
#include "sidecar.h"
#include "statistics.h"
#include "written_keys.h"

namespace semper::sqlite {

inline constexpr std::size_t kWatchesMaximum = 100'000;
inline constexpr auto kSafetyPoll = std::chrono::seconds(1);

enum class WatchEvent : std::uint8_t { changed, closed };

class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  struct Context {
    const SqliteOptions* options;
    Sidecar* sidecar;
    Statistics* statistics;
    Clock* clock;
    // Called on the wake-up thread where somebody asks for the WAL.
    std::function<void()> on_wal_wanted;
    // Called there about once a kSafetyPoll, while something is watched.
    std::function<void()> on_look;
  };
  explicit WatchHub(Context context) : context_(std::move(context)) {}
  ~WatchHub();

  struct Seen {
    Version snapshot = 0;  // the version of the snapshot
    Version row = 0;       // the version of the row in it; 0: no row
  };
  // Errors: exhausted, closed.
  Result<std::unique_ptr<Watch>> add(BytesView key, const Seen& seen);

  // A commit of this handle: after its version was published.
  void on_commit(const WrittenKeys& written, Version version);
  // Somebody committed, nobody knows what: every watch of every process is looked at again.
  void on_unknown_commit();
  // Asks all other processes to give back what keeps the WAL.
  void ask_for_wal();

  // Fires everything with `closed` and ends the thread.
  void close();

  // The store cannot be used any more: who watches, now or later, is told of a change, looks, and
  // gets the error.
  void give_up();

  // Closes the hub's connection; until resume() nothing is compared.
  void suspend();
  void resume();

 private:
  struct Entry {
    Bytes key;
    Seen seen;
    std::size_t slot = 0;
    bool listed = false;  // with the hub's mutex held
    std::atomic<bool> has_fired = false;
    WatchEvent fired = WatchEvent::changed;
    OneShot<WatchEvent> event;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  class Handle;

  static void fire(Entry& entry, WatchEvent event);
  void fire_all(WatchEvent event);
  Status list(const EntryPtr& entry);
  void unlist(Entry& entry);
  Status start_thread_once();

  void fire_local(const WrittenKeys& written, Version version);
  void announce(const WrittenKeys& written);

  void run();
  bool sleep_until_woken(std::uint32_t wake);
  std::vector<EntryPtr> entries_to_compare();
  Result<Version> begin_to_read();
  void compare(const std::vector<EntryPtr>& entries);
  void look_for_unannounced_commits();

  const Context context_;
  const ForkGuard fork_{};

  std::mutex mutex_;
  std::vector<std::vector<EntryPtr>> by_slot_ = std::vector<std::vector<EntryPtr>>(kWatchSlots);
  std::vector<std::uint32_t> seen_counters_ = std::vector<std::uint32_t>(kWatchSlots);
  std::uint32_t seen_all_changed_ = 0;
  bool compare_all_ = false;
  bool closed_ = false;
  bool given_up_ = false;
  std::condition_variable work_;
  std::thread thread_;
  std::atomic<std::size_t> count_ = 0;

  std::mutex reader_mutex_;
  bool suspended_ = false;
  std::unique_ptr<Reader> reader_;
};

}  // namespace semper::sqlite
