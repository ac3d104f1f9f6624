// What became of a request whose answer was lost.
//
// Each open handle has a lane: a key that every request of it writes, on the condition that it is
// at the revision where the request before left it. So there are two cases. The lane moved: it
// holds the request's version, and the request was applied, at the lane's revision. Or it did not:
// then it is removed, on the same condition, and the request, should it still be on its way, can
// never be applied. A removal, because etcd takes it even where its quota is used up; if the answer
// to it is lost too, it is sent again, and finds the key gone.
//
// A sweep removes lanes as well (lane.h), also one that the request has moved. So a lane that is
// gone tells nothing where the stamp has gone so far that the request's version would have been
// swept.
//
// If this is cut off by a crash, nobody is left who could ask; the request was applied wholly or
// not at all.
#pragma once

#include <optional>
#include <vector>

#include "backends/etcd/kv.h"
#include "backends/etcd/request.h"
#include "semper/env/backoff.h"
#include "semper/env/env.h"

namespace semper::etcd {

// How long the store is asked before the outcome stays unknown, and how often.
inline constexpr Duration kOutcomePatience = std::chrono::seconds(20);
inline constexpr int kOutcomeAttempts = 400;
inline constexpr BackoffOptions kOutcomePause = {.initial = std::chrono::milliseconds(5),
                                                 .maximum = std::chrono::milliseconds(250)};
// Witnesses asked for in one request.
inline constexpr std::size_t kWitnessReads = 100;

struct LostRequest {
  const Layout* layout = nullptr;
  Bytes lane;
  Revision lane_revision = 0;  // before it
  const Sent* sent = nullptr;
  Fate fate = Fate::unknown;  // or processed: then nothing has to be fenced off
};

struct FoundOutcome {
  // 0: it was not applied and never will be. Then the lane is gone, unless the fate was
  // `processed`.
  Revision applied_at = 0;
  // Whether each transaction of it took effect; nothing where that cannot be told any more.
  std::vector<std::optional<bool>> parts;
};

// Error: outcome_unknown (the store could not be asked, or the lane was swept).
Async<FoundOutcome> find_outcome(Kv& kv, Env env, const LostRequest& lost);

}  // namespace semper::etcd
