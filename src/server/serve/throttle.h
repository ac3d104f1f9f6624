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
// Of the type and of its keys at once (kTypeRateLimit, kTypeConcurrencyLimit): one coroutine tends
// all keys. What one of them takes, it takes from its own and from the type's in one transaction,
// so that nobody holds the one while it waits for the other. What there is of the type's goes to
// the keys that can use it in proportion to their weights, whatever waits for each (stride
// scheduling: each has a mark, which moves on by kStride over its weight with each token or place,
// and the one that is furthest behind is the next).
//
// Over it (kOverLimit): whoever would wait is called instead, to refuse what there is nothing for.
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
#include "server/serve/waiting_heads.h"

namespace semper::internal {

inline constexpr Duration kTokensLast = std::chrono::seconds(1);
inline constexpr std::size_t kThrottledKeys = 4'096;
inline constexpr std::size_t kThrottledEntities = 65'536;
inline constexpr std::size_t kThrottledOfOneKey = 4'096;
inline constexpr Duration kThrottledLook = std::chrono::seconds(1);
// Entities that wait for longer are said to, in the store (LimitNote).
inline constexpr Duration kThrottledNoted = std::chrono::seconds(1);
// Who takes tokens again and again is not told of others that come too late each time: after so
// often it is a little late itself, and whoever has come too late so often is not.
inline constexpr std::uint32_t kTakesInARow = 2;
// While more than one token is wanted, they are waited for together, for so long at most.
inline constexpr Duration kTokenPace = std::chrono::milliseconds(10);
// Who was called for a place, and waits for a token now, or has one and runs.
inline constexpr Duration kPlaceKept = std::chrono::seconds(5);
// Notes written, and queues looked at, in one round.
inline constexpr std::size_t kNotesPerRound = 64;
// Keys that share what there is of the type's in one transaction.
inline constexpr std::size_t kKeysPerTurn = 64;
// The queue of whoever waits for longer is looked at again: its oldest message stays known
// (waiting_heads.h), and what another host has emptied waits no more.
inline constexpr Duration kThrottledQueueLook = std::chrono::seconds(30);
inline constexpr std::uint64_t kStride = std::uint64_t{1} << 20;

// To handle so many messages, before that.
struct Tokens {
  std::uint64_t count = 0;
  MonotonicTime until{};
};

class Throttle : public std::enable_shared_from_this<Throttle> {
 public:
  // The last two are lines of the type, in which nobody waits: who tends them tends all keys.
  enum class For : std::uint8_t { rate, place, type_rate, type_place };

  // Borrows the counter and the heads, while anybody calls wait() or waits.
  Throttle(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour, Count& limited,
           WaitingHeads& heads);

  const LimitRules& rules() const { return rules_; }
  // Has an entity's queue looked at. Set before the host starts.
  void call_with(std::function<void(const std::string&)> call) { call_ = std::move(call); }

  // With the commit that takes its lock. False: there is no place.
  Async<bool> take_place(Transaction& transaction, const Target& target) const;
  // With the one that gives it back.
  void free_place(Transaction& transaction, const Target& target) const;

  // What this entity was called for, or what is left over while nobody waits for it.
  Tokens collect(const EntityId& id, std::uint64_t most);
  // Not used.
  void give_back(const EntityId& id, const Tokens& tokens);

  // Messages that are over a limit, and to be refused: until that, and asked for once.
  struct Refusal {
    std::uint64_t count = 0;
    For what = For::rate;
    MonotonicTime until{};
  };
  Refusal collect_refusal(const EntityId& id);
  Error over_limit(const EntityId& id, For what) const;

  // Of places: nobody waits before it.
  bool is_next(const EntityId& id);
  // It has its place.
  void came(const EntityId& id);

  // It waits, unless it does so already, and is called when it is its turn. False: there is no room
  // for it here. Its first message has run and failed: it is not refused.
  enum class Begun : std::uint8_t { no, yes };
  bool wait(const EntityId& id, For what, std::uint64_t wanted, Begun begun = Begun::no);
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
    bool has_begun = false;
    bool has_lost = false;   // it was called for a place, and there was none
    MonotonicTime looked{};  // at its queue
  };
  // A bucket as it was seen: so many parts or more at that time.
  struct SeenBucket {
    RateBucket row;
    MonotonicTime as_of{};
    bool is_ours = false;       // this host wrote it
    bool is_contended = false;  // other hosts take tokens, too
    // How often this host has taken tokens since another one was seen to.
    std::uint32_t takes_in_a_row = 0;
    // How often others have since this one did.
    std::uint32_t losses_in_a_row = 0;
  };
  struct Line {
    std::deque<Waiter> waiting;
    bool is_tended = false;
    OneShot<std::monostate> news;                    // somebody came
    std::unordered_map<std::string, Tokens> called;  // and have not come yet
    Tokens left_over;
    std::optional<SeenBucket> bucket;
    MonotonicTime verified{};  // that those who hold places do
    std::uint64_t mark = 0;    // of its share of what is the type's
    std::uint64_t step = kStride;
    MonotonicTime dry_until{};  // by its own limit, as it was seen last
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
  // A key that wants something of the type's, and what it gets.
  struct Share {
    Place place;
    std::uint64_t wanted = 0;
    std::uint64_t most = 0;  // by its own limit
    std::uint64_t given = 0;
    std::uint64_t called = 0;
    std::uint64_t mark = 0;
    std::uint64_t step = kStride;
    bool is_dry = false;    // it got nothing the last time, and waits for its own tokens
    bool has_lost = false;  // the first one that waits
    std::optional<SeenBucket> bucket = {};
  };
  struct Shared {
    std::vector<Share> shares;
    std::vector<Place> dry;  // that can get nothing now, by their own limits
    std::optional<SeenBucket> bucket = {};
    MonotonicTime until{};
    Duration next{};
    std::unique_ptr<Watch> watch = nullptr;
  };
  // What is in a bucket, as a transaction sees it.
  struct Level {
    SeenBucket seen;
    std::uint64_t parts = 0;
    bool is_others = false;
    std::uint32_t losses = 0;  // so far
  };

  // The line of the type, by which lines of keys are tended.
  static For type_of(For what) { return what == For::rate ? For::type_rate : For::type_place; }
  std::string key_of(const EntityId& id) const;
  void say_once(const std::string& what) const;
  LimitKeys keys_of(const Place& place) const;
  const RateLimit& rate_of(const Place& place) const;
  bool is_together(For what) const;
  static Task<void> tend(std::shared_ptr<Throttle> self, Place place);
  static Task<void> tend_all(std::shared_ptr<Throttle> self, For what);
  Asked ask_all(For what);
  // Without room: `more` says that there are others.
  Shared shares_of(For what, Duration& until_own, bool& more);
  // What of a key's own places is taken, where those of the type do not say: by programs that know
  // no places of the type.
  Async<std::uint64_t> count_own_places(Transaction& transaction, const Place& place,
                                        bool verifies) const;
  // Those that get something have it in `given`; their marks have moved.
  static void divide(std::vector<Share>& shares, std::uint64_t free);
  Async<Shared> look_at_all_buckets();
  Async<Shared> look_at_all_places();
  void call_all(For what, const Shared& shared);
  Task<Duration> note_all(For what);
  // Idle keys whose buckets are full are forgotten. Until the next one is.
  Task<Duration> sweep(For what);
  bool end_all(For what);
  Async<Level> read_bucket(Transaction& transaction, const Place& place,
                           const std::optional<SeenBucket>& known) const;
  SeenBucket without(const Level& level, const Place& place, std::uint64_t tokens,
                     Transaction& transaction) const;
  void say(const Place& place, const Error& error);
  // With the lock.
  static void keep(Line& line, const Tokens& tokens);
  void ask_line(Line& line, bool is_place, MonotonicTime now, Asked& asked);
  void leave(const std::string& id);
  static bool is_idle(const Line& line);
  Asked ask(const Place& place);
  Async<Turn> look_at_bucket(const Place& place, std::uint64_t wanted);
  Async<Turn> look_at_places(const Place& place);
  static std::uint64_t parts_now(const SeenBucket& seen, const RateLimit& rate, MonotonicTime now);
  static Duration time_for(std::uint64_t parts, const RateLimit& rate);
  static Duration until_tokens(const SeenBucket& seen, const RateLimit& rate, std::uint64_t tokens,
                               MonotonicTime now);
  Duration spread(const SeenBucket& seen, Duration next) const;
  Async<void> call_holders(Transaction& transaction, const std::vector<std::string>& ids);
  void call_some(const Place& place, const Turn& turn);
  void refuse_rest(Line& line, For what, std::vector<std::string>& called);
  Task<Duration> note_waiting(const Place& place, std::size_t& room);
  Async<void> look_at_queues(const Place& place, std::size_t& room);
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
  WaitingHeads& heads_;
  std::function<void(const std::string&)> call_;

  std::mutex mutex_;
  std::map<Place, Line> lines_;
  std::unordered_map<std::string, For> waiting_;  // ids of all lines
  std::size_t waiting_for_places_ = 0;            // of those
  std::unordered_map<std::string, Refusal> refused_;
  std::unordered_set<std::string> noted_;
  mutable std::atomic<bool> said_{false};  // that a function of the user's fails
};

}  // namespace semper::internal
