#include "outcome.h"

#include <utility>

#include "etcd_error.h"
#include "lane.h"
#include "semper/base/internal/mutant.h"

namespace semper::etcd {
namespace {

// Removes the lane where it was not moved. Otherwise reads it, and the stamp.
pb::TxnRequest fence_of(const LostRequest& lost) {
  pb::TxnRequest request;
  compare_mod(*request.add_compare(), lost.lane, pb::Compare::EQUAL, lost.lane_revision);
  request.add_success()->mutable_request_delete_range()->set_key(lost.lane);
  range(*request.add_failure(), lost.lane);
  range(*request.add_failure(), lost.layout->stamp());
  return request;
}

// Whether the lane, had the request moved it, may have been swept since. The stamp never falls.
bool may_have_been_swept(const pb::KeyValue* stamp, const LostRequest& lost) {
  if (SEMPER_MUTANT("etcd_swept_lane_taken_for_fenced")) return false;
  const auto now = stamp_in(stamp);
  return !now || *now >= swept_at(lost.sent->last);
}

// At which revision the request moved the lane; 0: it did not; nothing where that cannot be told.
using Moved = std::optional<Revision>;

// From the answer to reading the lane, then the stamp.
Moved moved_at(const pb::TxnResponse& answer, const LostRequest& lost) {
  if (answer.responses_size() < 2) return std::nullopt;
  const auto* lane = only_row(answer.responses(0));
  if (lane == nullptr) {
    if (may_have_been_swept(only_row(answer.responses(1)), lost)) return std::nullopt;
    return Revision{0};
  }
  if (lane->mod_revision() == lost.lane_revision) return Revision{0};
  Bytes version;
  append_big_endian_u64(version, lost.sent->last);
  return lane->value() == version ? lane->mod_revision() : Revision{0};
}

// One try. Error: anything; ask again.
Async<Moved> ask_lane(Kv& kv, const LostRequest& lost) {
  if (lost.fate == Fate::processed || SEMPER_MUTANT("etcd_late_request_not_fenced_off")) {
    pb::TxnRequest request;
    range(*request.add_success(), lost.lane);
    range(*request.add_success(), lost.layout->stamp());
    SEMPER_CO_TRY(auto answer, co_await kv.read(request));
    co_return moved_at(answer, lost);
  }
  const pb::TxnRequest fence = fence_of(lost);
  auto answer = co_await kv.write(fence);
  if (!answer) co_return fail(answer.error().error);
  if (answer->succeeded()) co_return Moved(Revision{0});
  co_return moved_at(*answer, lost);
}

// The witnesses [from, ...) as they were right after the request.
pb::TxnRequest witnesses_from(const Sent& sent, std::size_t from, Revision at) {
  pb::TxnRequest request;
  for (std::size_t i = from; i < sent.parts.size() && i < from + kWitnessReads; ++i) {
    auto& read = *request.add_success()->mutable_request_range();
    read.set_key(sent.parts[i].witness);
    read.set_keys_only(true);
    read.set_revision(at);
  }
  return request;
}

Async<std::vector<std::optional<bool>>> ask_witnesses(Kv& kv, const Sent& sent, Revision at) {
  std::vector<std::optional<bool>> found;
  while (found.size() < sent.parts.size()) {
    const auto request = witnesses_from(sent, found.size(), at);
    auto answer = co_await kv.read(request);
    if (!answer && is_compacted(answer.error())) {
      // Compacted meanwhile.
      found.resize(sent.parts.size());
      co_return found;
    }
    if (!answer) co_return fail(answer.error());
    for (const auto& one : answer->responses()) {
      const auto* row = only_row(one);
      found.emplace_back(row != nullptr && row->mod_revision() == at);
    }
    if (answer->responses_size() == 0) break;
  }
  found.resize(sent.parts.size());
  co_return found;
}

}  // namespace

Async<FoundOutcome> find_outcome(Kv& kv, Env env, const LostRequest& lost) {
  const MonotonicTime until = env.clock->after(kOutcomePatience);
  Backoff pause(kOutcomePause, *env.random);
  FoundOutcome found;
  bool lane_known = false;
  std::string last = "no attempt was made";
  for (int attempt = 0; attempt < kOutcomeAttempts; ++attempt) {
    if (!lane_known) {
      auto moved = co_await ask_lane(kv, lost);
      if (moved && !*moved) {
        co_return fail(ErrorKind::outcome_unknown,
                       "the answer to a commit was lost, and what would tell its outcome was "
                       "removed as if its process had ended a day ago; does a clock run ahead? "
                       "read the data before doing it again");
      }
      if (moved) {
        lane_known = true;
        found.applied_at = **moved;
        if (found.applied_at == 0) co_return found;
      } else {
        last = moved.error().to_string();
      }
    }
    if (lane_known) {
      auto parts = co_await ask_witnesses(kv, *lost.sent, found.applied_at);
      if (parts) {
        found.parts = std::move(*parts);
        co_return found;
      }
      last = parts.error().to_string();
    }
    if (env.clock->now() >= until) break;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(*env.clock, pause.next()));
  }
  co_return fail(ErrorKind::outcome_unknown,
                 "the transaction may or may not have been applied, and the etcd cluster could not "
                 "be asked (" +
                     last + "); read the data before doing it again");
}

}  // namespace semper::etcd
