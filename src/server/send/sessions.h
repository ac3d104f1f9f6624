// Sessions: how replies of other processes find the coroutines of this one that wait for them.
//
// A process with waiting calls has one session per tenant: a row that is renewed as long as calls
// wait, a counter that consumers touch when they have put a reply there, and the replies. One
// coroutine per session waits for that counter, hands the replies out and removes them; with the
// last waiting call it removes the session too. Where that call gives up, the session is removed at
// once: its process may be about to end. What a process leaves behind that was killed is removed by
// any host when the session was not renewed for kSessionLease (session_sweep.h).
//
// Who was taken for dead and is alive (a process that was stopped for that long) finds its row gone
// when it renews it. Replies that came meanwhile were dropped: its calls get outcome_unknown, and
// later ones a new session. A call carries the row with its message until one is known to be there,
// so that no call depends on another one's success.
//
// The coroutine runs on the loop of a call that waits, and moves to another call's loop when none
// of the first one's wait any more, when that loop is destroyed, and when it does not run
// (kLoopPatience). Replies go to their callers as soon as they were read, before they are removed:
// none is lost with a loop. A reply whose caller has given up is removed when it arrives.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/server/message.h"
#include "server/send/outbox.h"

namespace semper::internal {

inline constexpr Duration kSessionRenewal = std::chrono::seconds(2);
inline constexpr Duration kSessionLease = std::chrono::seconds(10);
inline constexpr std::size_t kSessionBytes = 8;
// Looks at the loop that collects, by the calls that wait, per kLoopPatience; where there are more,
// each looks less often.
inline constexpr std::size_t kCollectorLooks = 1024;

class Sessions : public std::enable_shared_from_this<Sessions> {
 public:
  Sessions(Tenant tenant, std::shared_ptr<Outbox> outbox);

  // Enqueues the call and waits for its reply. Errors: those of publish(), those of the callback,
  // timeout.
  Async<Bytes> call(std::shared_ptr<const Target> target, RawMessage message,
                    MonotonicTime deadline, std::shared_ptr<const MessageKey> key,
                    ChainPointer chain);

 private:
  // What a waiting call gets: its reply, or the task to look for replies itself.
  struct TakeOver {};
  using Arrival = std::variant<Result<Bytes>, TakeOver>;

  struct Place {
    OneShot<Arrival> arrival;
    const void* loop = nullptr;           // the execution context of its coroutine
    std::optional<Result<Bytes>> answer;  // came while it was asked to take over
  };
  using Places = std::unordered_map<std::uint64_t, Place>;
  using Replies = std::vector<std::pair<std::uint64_t, Result<Bytes>>>;

  class Waiting;
  class Collecting;

  ReplyToken enter(OneShot<Arrival> arrival, const void* loop, std::vector<KeyValue>& alongside);
  void confirm(const Bytes& session);
  void leave(std::uint64_t number);
  void give_up(std::uint64_t number, const Executor& executor);
  static Task<void> remove_session(std::shared_ptr<Sessions> self, Bytes session);
  static Task<void> leave_key(std::shared_ptr<const Target> target, std::string message,
                              std::string key, ReplyToken caller);
  std::optional<Result<Bytes>> wait_again(std::uint64_t number, OneShot<Arrival> arrival);

  // What a round found out.
  enum class Round : std::uint8_t { nothing, replies, over, taken_for_dead };

  static Task<void> collect(std::shared_ptr<Sessions> self, Bytes session, std::uint64_t turn);
  Async<Round> collect_once(const Bytes& session);
  static Async<Replies> read_replies(Transaction& transaction, BytesView prefix,
                                     const Bytes& session);
  Async<Round> settle(Transaction& transaction, const Bytes& session, bool& renewed);
  void hand_out(Replies& replies);
  Async<void> wait_for_replies(const Bytes& session);
  bool has_turn(std::uint64_t turn);
  void end_all(const Error& error);
  void start_collecting(const Executor& executor);
  MonotonicTime next_look(MonotonicTime now);
  bool should_take_over(const void* loop, MonotonicTime now);

  // With the mutex.
  void answer(Places::iterator place, Result<Bytes> reply);
  void remove(Places::iterator place);
  void pass_on();
  void end_turn();

  const Tenant tenant_;
  const std::shared_ptr<Outbox> outbox_;

  std::mutex mutex_;
  Bytes session_;            // drawn anew whenever the first call begins to wait
  bool registered_ = false;  // the row is known to be in the store
  std::uint64_t last_turn_ = 0;
  std::uint64_t collecting_ = 0;  // the turn that collects; 0: none
  const void* collecting_on_ = nullptr;
  Loop collecting_loop_;  // the same, to ask whether it runs
  LoopWatch watch_;
  MonotonicTime next_look_{};
  std::uint64_t last_number_ = 0;
  std::uint64_t renewals_ = 0;
  MonotonicTime renewed_at_{};
  MonotonicTime next_removal_{};  // by a call that gives up
  Places waiting_;
  std::unordered_map<const void*, std::size_t> waiting_on_;  // calls of each loop
};

}  // namespace semper::internal
