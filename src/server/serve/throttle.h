// Throttle: what of one type's work may be done now, by kRateLimit and kConcurrencyLimit, and who
// waits for it in this host (behaviour.h).
//
// Each limit key has a line of its own for each of the two, in which entities wait in the order of
// their coming. Nothing else waits with them: they hold no permit, their queues are as they were,
// scanners pass them over, and other keys have other lines. While a line is not empty, one
// coroutine tends it: it takes tokens from the key's bucket in the store, for all that wait, or
// looks for free places, and calls those whose turn it is.
//
// Rate. Tokens are taken in the store before they are used, in one transaction for all who wait,
// and are good for kTokensLast: what a host took and did not use by then, because it was stopped or
// had less to do, is lost. So all hosts together begin to handle, in any time T, at most
// burst + rate * (T + kTokensLast) messages of a key, and somewhat less than the rate where they
// compete. Each run of a message takes a token, also one that fails; a run that lost to another
// process does not.
//
// Concurrency. A place is taken with the commit that takes the lock, and given back with the one
// that gives the lock back (limit_rows.h): it is never more than kConcurrencyLimit, whatever
// happens to hosts, and one that was killed gives its place back as it does its lock, to the holder
// that takes it over. Among the entities of one key in several hosts there is no order; who waits
// is called when a place is given back, wherever that is.
//
// Types without limits have none of this. Bounds: kThrottledKeys, kThrottledEntities and, of one
// key, kThrottledOfOneKey, which wait here; past that an entity stays in the index, and is looked
// at again after kThrottledLook. Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/server/internal/behaviour.h"
#include "server/format/limit_rows.h"
#include "server/serve/host_core.h"
#include "server/serve/type_counters.h"

namespace semper::internal {

inline constexpr Duration kTokensLast = std::chrono::seconds(1);
inline constexpr std::size_t kThrottledKeys = 4'096;
inline constexpr std::size_t kThrottledEntities = 65'536;
inline constexpr std::size_t kThrottledOfOneKey = 4'096;
inline constexpr Duration kThrottledLook = std::chrono::seconds(1);
// Entities that wait for longer are said to, in the store (LimitNote).
inline constexpr Duration kThrottledNoted = std::chrono::seconds(1);

// To handle so many messages, before that.
struct Tokens {
  std::uint64_t count = 0;
  MonotonicTime until{};
};

class Throttle : public std::enable_shared_from_this<Throttle> {
 public:
  enum class For : std::uint8_t { rate, place };

  // Borrows the counter, while anybody calls wait().
  Throttle(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour, Count& limited);

  const LimitRules& rules() const { return rules_; }
  // Has an entity's queue looked at. Set before the host starts.
  void call_with(std::function<void(const std::string&)> call) { call_ = std::move(call); }

  LimitKeys keys_of(const EntityId& id) const;

  // What this entity was called for, or what is left over while nobody waits for it.
  Tokens collect(const EntityId& id, std::uint64_t most);
  // Not used.
  void give_back(const EntityId& id, const Tokens& tokens);

  // Of places: nobody waits before it.
  bool is_next(const EntityId& id);
  // It has its place.
  void came(const EntityId& id);

  // It waits, unless it does so already, and is called when it is its turn. False: there is no room
  // for it here.
  bool wait(const EntityId& id, For what, std::uint64_t wanted);
  // An entity that has work. Zero: it may be looked at; else it waits, or is to be looked at after
  // that.
  Duration until_look(const EntityId& id);
  // That this entity waited was said in the store; it has been taken back there.
  bool is_noted(const std::string& id);
  void forget_note(const std::string& id);

 private:
  struct Waiter {
    std::string id;
    std::uint64_t wanted = 1;
    MonotonicTime since{};
    std::int64_t since_ms = 0;
    bool noted = false;
  };
  // A bucket as it was seen: so many parts or more at that time.
  struct SeenBucket {
    RateBucket row;
    MonotonicTime as_of{};
    bool is_ours = false;       // this host wrote it
    bool is_contended = false;  // other hosts take tokens, too
  };
  struct Line {
    std::deque<Waiter> waiting;
    bool is_tended = false;
    OneShot<std::monostate> news;                    // somebody came
    std::unordered_map<std::string, Tokens> called;  // and have not come yet
    Tokens left_over;
    std::optional<SeenBucket> bucket;
    MonotonicTime verified{};  // that those who hold places do
  };
  using Place = std::pair<For, std::string>;
  // What the one who tends a line finds.
  struct Turn {
    std::uint64_t free = 0;  // tokens, or places
    MonotonicTime until{};   // of tokens
    Duration next{};         // until the next look
    std::unique_ptr<Watch> watch = nullptr;
  };
  struct Asked {
    std::size_t waiting = 0;
    std::uint64_t wanted = 0;  // tokens
    bool is_owed = false;      // who was called has not come yet
    OneShot<std::monostate> news;
  };

  HostCore& core() const { return *core_; }
  std::string key_of(const EntityId& id) const;
  LimitKeys keys_of(const std::string& key) const;
  static Task<void> tend(std::shared_ptr<Throttle> self, Place place);
  void say(const Place& place, const Error& error);
  // With the lock.
  static void keep(Line& line, const Tokens& tokens);
  Asked ask(const Place& place);
  Async<Turn> look_at_bucket(const Place& place, std::uint64_t wanted);
  Async<Turn> look_at_places(const Place& place);
  std::uint64_t parts_now(const SeenBucket& seen, MonotonicTime now) const;
  Duration time_for(std::uint64_t parts) const;
  Async<void> call_holders(Transaction& transaction, const Place& place,
                           const std::vector<std::string>& ids);
  void call_some(const Place& place, const Turn& turn);
  Task<Duration> note_waiting(const Place& place);
  // This host's, which is as none when it is full.
  std::optional<Duration> until_full(const Place& place);
  Async<void> forget_bucket(const Place& place);
  bool end(const Place& place);

  const std::shared_ptr<HostCore> core_;
  const std::shared_ptr<Behaviour> behaviour_;
  const std::string type_;
  const LimitRules rules_;
  const bool has_locks_;  // a message of the type has handle_locked
  Count& limited_;
  std::function<void(const std::string&)> call_;

  std::mutex mutex_;
  std::map<Place, Line> lines_;
  std::unordered_map<std::string, For> waiting_;  // ids of all lines
  std::unordered_set<std::string> noted_;
  mutable std::atomic<bool> said_{false};  // that the user's limit_key fails
};

}  // namespace semper::internal
