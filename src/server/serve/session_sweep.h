// SessionSweep: takes away the sessions of callers that are gone, with the replies nobody fetched.
//
// A session whose row was not seen to change for its lease counts as dead (lease.h). Sessions are
// looked at in the order of their names, from a place drawn at random and round and round: so many
// at a time are under suspicion, each until it is seen renewed, or gone, or its lease is over. So
// all are reached, however many there are, and hosts of one store begin at different places.
//
// A sweep reads the row that it removes: a session that is renewed at the same moment stays.
//
// Threads: one round at a time.
#pragma once

#include <cstddef>
#include <map>

#include "semper/store/transaction.h"
#include "server/format/lease.h"
#include "server/serve/host_core.h"

namespace semper::internal {

// Sessions of callers under suspicion at a time, by one host; also its reads in one round.
inline constexpr std::size_t kSessionsSuspected = 1000;
// Sessions judged in one round, so that its transaction stays small; the others in the next rounds.
inline constexpr std::size_t kSessionsJudged = 250;

class SessionSweep {
 public:
  explicit SessionSweep(std::shared_ptr<HostCore> core);

  // One round; to be called at least as often as sessions are renewed.
  Async<void> round();

 private:
  struct Suspicion {
    std::uint64_t renewals = 0;
    Duration since{};  // by attention_
    Duration lease{};
  };
  using Suspicions = std::map<Bytes, Suspicion>;

  // The row's; replies without a row count as a session that is never renewed.
  struct Sign {
    std::uint64_t renewals = 0;
    Duration lease{};
  };
  Sign sign_of(const std::optional<Bytes>& row) const;
  Async<void> judge(Transaction& transaction, Duration now, Suspicions& suspicions) const;
  Async<void> suspect(Transaction& transaction, Duration now, Suspicions& suspicions,
                      Bytes& from) const;

  const std::shared_ptr<HostCore> core_;
  Attention attention_;
  Suspicions suspicions_;
  Bytes from_;  // the key where the next ones are looked for
};

}  // namespace semper::internal
