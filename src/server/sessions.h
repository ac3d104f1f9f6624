// Sessions: how replies of other processes find the coroutines of this one that wait for them.
//
// A process with waiting calls has one session per tenant: a row that is renewed as long as calls
// wait, a counter that consumers touch when they have put a reply there, and the replies. One
// coroutine per session waits for that counter, hands the replies out and removes them; with the
// last waiting call it removes the session too. What a process leaves behind that was killed is
// removed by any host when the session was not renewed for kSessionLease (membership.h).
//
// A reply whose caller has given up is removed when it arrives.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>
#include <vector>

#include "outbox.h"
#include "semper/env/one_shot.h"
#include "semper/server/ref.h"

namespace semper::internal {

inline constexpr Duration kSessionRenewal = std::chrono::seconds(2);
inline constexpr Duration kSessionLease = std::chrono::seconds(10);

class Sessions : public std::enable_shared_from_this<Sessions> {
 public:
  Sessions(Tenant tenant, std::shared_ptr<Outbox> outbox);

  // Enqueues the call and waits for its reply. Errors: those of publish(), those of the callback,
  // timeout.
  Async<Bytes> call(std::shared_ptr<const Target> target, RawMessage message,
                    MonotonicTime deadline);

 private:
  // What a waiting call gets: its reply, or the task to look for replies itself.
  struct TakeOver {};
  using Arrival = std::variant<Result<Bytes>, TakeOver>;

  class Waiting;
  class Collecting;

  static Task<void> collect(std::shared_ptr<Sessions> self, Bytes session);
  Async<void> collect_once(const Bytes& session);
  void give_up(const Error& error);
  void start_collecting(const Executor& executor);

  const Tenant tenant_;
  const std::shared_ptr<Outbox> outbox_;

  std::mutex mutex_;
  Bytes session_;            // drawn anew whenever the first call begins to wait
  bool registered_ = false;  // the row may be in the store
  bool collecting_ = false;
  std::uint64_t last_number_ = 0;
  std::uint64_t renewals_ = 0;
  MonotonicTime renewed_at_{};
  std::unordered_map<std::uint64_t, OneShot<Arrival>> waiting_;
};

}  // namespace semper::internal
