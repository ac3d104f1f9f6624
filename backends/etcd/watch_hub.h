// WatchHub: the watches of one open handle, on one watch stream of etcd.
//
// Each watched key is one watcher on the stream, however many wait for it. A watcher stays for a
// while after the last one has gone, because who waits for a key usually waits for it again. When
// the stream breaks it is opened on the next endpoint, and each watcher goes on at the revision
// after the last one it was told of; where that was compacted meanwhile, the key is read instead.
//
// Between us and etcd there may be a proxy that gives watchers ids of its own (watch_ids.h), and
// one that never answers; so events are told apart by their keys, and a stream on which a watcher
// waits to be created for kPollInterval is given up.
//
// Events are hints. etcd 3.4.23 can lose them (docs/backends.md), so every kPollInterval the keys
// that somebody waits for are read, and a change that no event told of is found then.
//
// A watch knows the revision of its snapshot and the key's own in it (0: not there). It fires when
// the key is told, or found, to be at another one.
//
// Threads: any. The stream and the polls run on the executor given.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "backends/etcd/cluster.h"
#include "backends/etcd/watch_ids.h"
#include "semper/env/one_shot.h"
#include "semper/rpc/duplex.h"
#include "semper/store/backend.h"

namespace semper::etcd {

inline constexpr std::size_t kWatchesMaximum = 100'000;
// Watchers at once, those that nobody waits for included; more watches get `exhausted`.
inline constexpr std::size_t kWatchersMaximum = 10'000;
// Watchers that are kept although nobody waits.
inline constexpr std::size_t kIdleWatchersMaximum = 1'000;
inline constexpr Duration kPollInterval = std::chrono::seconds(10);
inline constexpr std::size_t kPollReads = 100;  // keys in one request
inline constexpr BackoffOptions kStreamPause = {.initial = std::chrono::milliseconds(20),
                                                .maximum = std::chrono::seconds(2)};

// Where our ids begin: far from those that others count.
inline constexpr std::int64_t kFirstWatchId = std::int64_t{1} << 40;

enum class WatchEvent : std::uint8_t { changed, closed };

class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  struct Context {
    Cluster* cluster = nullptr;
    Env env;
    Executor executor;
    // Shared: a watch may outlive its store, and counts itself out.
    std::shared_ptr<Statistics> statistics = {};
  };
  explicit WatchHub(Context context) : context_(std::move(context)) {}

  struct Seen {
    Revision snapshot = 0;
    Revision key = 0;
  };
  // Errors: exhausted, closed.
  Result<std::unique_ptr<Watch>> add(Bytes stored, const Seen& seen);

  // Fires everything with `closed` and ends the stream.
  void close();

  // Ends a stream that nobody answers on, or whose connection was given up; another one begins.
  void leave_dead_stream();

  // For tests: the stream breaks now.
  void break_stream();

 private:
  struct Entry {
    Seen seen;
    OneShot<WatchEvent> event;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  class Handle;

  // One key on the stream.
  struct Watcher {
    Bytes key;
    std::int64_t id = 0;
    Revision next = 0;   // events from this revision on are still to come
    Revision since = 0;  // of all changes since this one it knows the last
    Revision last_change = 0;
    std::vector<EntryPtr> entries;
    std::optional<std::list<std::int64_t>::iterator> idle;  // its place in idle_
  };

  // With the mutex held.
  void subscribe(Watcher& watcher, Revision from);
  void place(Watcher& watcher);
  void create(std::int64_t id);
  void send_creates(const std::vector<std::int64_t>& ids);
  void cancel(std::int64_t id);
  void send_cancel(std::int64_t there);
  Watcher* watcher_there(std::int64_t there);
  void rest(Watcher& watcher);
  void wake_up(Watcher& watcher);
  void forget(std::int64_t id);
  void fire(Watcher& watcher, Revision modified);
  void start();

  // Without it.
  void drop(const Bytes& key, const EntryPtr& entry);
  static Task<void> run_stream(std::shared_ptr<WatchHub> self);
  static Task<void> run_polls(std::shared_ptr<WatchHub> self);
  Async<void> follow();
  Async<void> take(const pb::WatchResponse& response);
  void take_created(std::int64_t there);
  void take_events(const pb::WatchResponse& response);
  Async<void> read_again(std::int64_t there);
  Async<void> poll(std::vector<Bytes> keys);
  void found(const Bytes& key, Revision modified, Revision at);
  std::vector<Bytes> awaited_keys();

  const Context context_;

  std::mutex mutex_;
  std::map<Bytes, std::int64_t, std::less<>> ids_;
  std::map<std::int64_t, Watcher> watchers_;
  std::list<std::int64_t> idle_;  // longest first
  std::int64_t last_id_ = kFirstWatchId;
  std::size_t waiting_ = 0;
  std::shared_ptr<rpc::DuplexStream> stream_;
  std::optional<rpc::Channel> stream_channel_;  // with stream_
  WatchIds on_stream_;
  MonotonicTime asked_at_ = {};  // when a watcher was last created alone
  bool started_ = false;
  bool closed_ = false;
};

}  // namespace semper::etcd
