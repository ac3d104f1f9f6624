#include "committer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "etcd_error.h"
#include "semper/base/internal/mutant.h"
#include "validation.h"

namespace semper::etcd {
namespace {

constexpr std::size_t kSessionBytes = 12;

Error garbled_error() {
  return Error(ErrorKind::corrupt, "etcd answered with less than was asked of it");
}

Error overtaken_error(const char* why) {
  return Error(ErrorKind::conflict, std::string(why) + "; begin anew");
}

// It answers each transaction of the request.
bool is_whole(const pb::TxnResponse& answer, const Sent& sent) {
  return !answer.succeeded() ||
         static_cast<std::size_t>(answer.responses_size()) >= sent.parts.size();
}

}  // namespace

Committer::Committer(Context context)
    : context_(std::move(context)), session_(to_hex(context_.env.random->bytes(kSessionBytes))) {}

Async<CommitReceipt> Committer::commit(CommitRequest request) {
  auto plan = make_plan(std::move(request), *context_.versions, *context_.reads, *context_.layout);
  if (!plan) {
    Statistics::add(context_.statistics->conflicts);
    co_return fail(plan.error());
  }
  const auto pending = std::make_shared<Pending>();
  pending->plan = std::move(*plan);
  pending->until = context_.env.clock->after(kCommitPatience);
  SEMPER_CO_TRY(Lane* const idle, enqueue(pending));
  if (idle != nullptr) start(*idle);
  auto answer = co_await pending->done.wait();
  if (answer) co_return std::move(*answer);
  co_return fail(ErrorKind::outcome_unknown,
                 "the caller was cancelled while its commit was under way: it is applied wholly or "
                 "not at all");
}

Result<Committer::Lane*> Committer::enqueue(const PendingPtr& pending) {
  std::lock_guard lock(mutex_);
  if (closing_) return fail(ErrorKind::closed, "the store was closed");
  if (queue_.size() >= kQueueTransactions || queue_bytes_ >= kQueueBytes) {
    return fail(
        ErrorKind::retry, Limit{"kQueueTransactions", kQueueTransactions},
        std::to_string(queue_.size()) + " commits wait already; try again later, or slow down");
  }
  queue_bytes_ += pending->plan.bytes;
  queue_.push_back(pending);
  return idle_lane();
}

// One that rests, as at work from now on. With the lock.
Committer::Lane* Committer::idle_lane() {
  for (auto& lane : lanes_) {
    if (!std::exchange(lane.is_at_work, true)) return &lane;
  }
  return nullptr;
}

void Committer::start(Lane& lane) {
  asio::co_spawn(context_.executor, run(shared_from_this(), lane), asio::detached);
}

Task<void> Committer::run(std::shared_ptr<Committer> self, Lane& lane) {
  while (true) {
    Batch batch = self->take(lane);
    if (batch.empty()) co_return;
    co_await self->send(lane, std::move(batch));
    self->wake();
  }
}

// What goes next on this lane, whose last request is over. Nothing: it rests; what waits then has
// something in common with what is under way, whose lane takes it.
Committer::Batch Committer::take(Lane& lane) {
  std::optional<OneShot<std::monostate>> idle;
  Batch batch;
  Lane* other = nullptr;
  {
    std::lock_guard lock(mutex_);
    lane.footprint = {};
    lane.is_alone = false;
    Footprint under_way;
    std::size_t others = 0;
    bool one_is_alone = false;
    for (const auto& one : lanes_) {
      others += one.is_at_work && &one != &lane ? 1 : 0;
      one_is_alone = one_is_alone || one.is_alone;
      if (!SEMPER_MUTANT("etcd_lanes_meet")) under_way.add(one.footprint);
    }
    const auto company =
        queue_.size() > 1 || others > 0 ? Packer::Company::some : Packer::Company::none;
    Packer packer(company, under_way);
    const std::size_t scan = one_is_alone ? 0 : std::min(queue_.size(), kTakeScan);
    std::vector<PendingPtr> taken;
    std::vector<PendingPtr> left;
    std::size_t seen = 0;
    for (; seen < scan && !packer.is_full(); ++seen) {
      auto& next = queue_[seen];
      const bool alone = next->alone || Packer::is_alone(next->plan);
      // The other lanes are to come to rest first.
      if (alone && taken.empty() && others > 0) break;
      const bool fits = packer.take(next->plan, alone);
      lane.is_alone = lane.is_alone || (fits && alone);
      auto& to = fits ? taken : left;
      to.push_back(std::move(next));
    }
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(seen));
    Statistics::add(context_.statistics->deferred, static_cast<std::int64_t>(left.size()));
    queue_.insert(queue_.begin(), std::make_move_iterator(left.begin()),
                  std::make_move_iterator(left.end()));
    batch = std::move(taken);
    for (const auto& pending : batch) queue_bytes_ -= pending->plan.bytes;
    if (batch.empty()) {
      lane.is_at_work = false;
      if (others == 0) idle = std::exchange(idle_, std::nullopt);
    } else {
      lane.footprint = batch.size() == 1 ? batch.front()->plan.footprint : packer.together();
      if (!queue_.empty() && !lane.is_alone) other = idle_lane();
    }
  }
  if (idle) idle->set({});
  if (other != nullptr) start(*other);
  return batch;
}

void Committer::put_back(Batch batch) {
  std::lock_guard lock(mutex_);
  for (const auto& pending : batch) queue_bytes_ += pending->plan.bytes;
  queue_.insert(queue_.begin(), batch.begin(), batch.end());
}

Task<void> Committer::send(Lane& lane, Batch batch) {
  Backoff pause(kResendPause, *context_.env.random);
  for (int attempt = 0; attempt < kRequestAttempts; ++attempt) {
    const Status ready = co_await get_ready(lane, batch);
    if (!ready) co_await wait_to_resend(batch, ready.error(), pause);
    if (batch.empty()) co_return;
    if (!ready) continue;
    Sent sent;
    const pb::TxnRequest request = build(lane, batch, sent);
    const auto written = co_await context_.kv->write(request);
    if (!written) {
      co_await recover(lane, batch, sent, written.error(), pause);
    } else if (!is_whole(*written, sent)) {
      const WriteFailure garbled{garbled_error(), Fate::processed};
      co_await recover(lane, batch, sent, garbled, pause);
    } else if (written->succeeded()) {
      settle(lane, batch, sent, *written);
    } else {
      Statistics::add(context_.statistics->stamps_overtaken);
      const Status learnt = learn(lane, *written);
      if (!learnt) answer_all(batch, learnt.error());
    }
    if (batch.empty()) co_return;
  }
  answer_all(batch, overtaken_error("other processes committed first each time"));
}

// A lane, and for each transaction what its condition is. Those that conflict already are answered.
Async<void> Committer::get_ready(Lane& lane, Batch& batch) {
  if (lane.guards.lane_revision == 0) {
    const std::string name = session_ + "." + std::to_string(++lanes_made_);
    SEMPER_CO_TRY(lane.guards,
                  co_await make_lane(*context_.kv, *context_.layout, *context_.clock, name));
  }
  refuse_declared(lane, batch);
  co_return co_await validate_all(batch);
}

void Committer::refuse_declared(const Lane& lane, Batch& batch) {
  std::erase_if(batch, [&](const PendingPtr& pending) {
    const auto& request = pending->plan.request;
    if (!lane.guards.declared.conflicts(request.reads, request.read_version)) return false;
    if (SEMPER_MUTANT("etcd_declared_conflicts_passed_over")) return false;
    answer(*pending,
           fail(overtaken_error("something that was read was declared as written since")));
    return true;
  });
}

Async<void> Committer::validate_all(Batch& batch) {
  for (auto pending = batch.begin(); pending != batch.end();) {
    if (!(*pending)->plan.to_validate) {
      ++pending;
      continue;
    }
    Statistics::add(context_.statistics->validations);
    auto validated = co_await validate(*context_.kv, *context_.layout, (*pending)->plan);
    if (validated) {
      (*pending)->validated = std::move(*validated);
      ++pending;
      continue;
    }
    if (is_passing(validated.error())) co_return fail(validated.error());
    answer(**pending, fail(validated.error()));
    pending = batch.erase(pending);
  }
  co_return Status{};
}

pb::TxnRequest Committer::build(const Lane& lane, const Batch& batch, Sent& sent) {
  std::vector<Entry> entries;
  entries.reserve(batch.size());
  for (const auto& pending : batch) {
    entries.push_back({&pending->plan, pending->validated ? &*pending->validated : nullptr});
  }
  RequestBuilder builder(*context_.layout, lane.guards, counters_);
  auto request = builder.build(entries, context_.clock->next(entries.size()));
  sent = builder.take_sent();
  auto& statistics = *context_.statistics;
  Statistics::add(statistics.requests);
  const auto size = static_cast<std::int64_t>(batch.size());
  if (size > statistics.largest_request.load()) statistics.largest_request.store(size);
  return request;
}

// The request was carried out; each transaction of it succeeded or not. Those that are sent again
// are put back.
void Committer::settle(Lane& lane, Batch& batch, const Sent& sent,
                       const pb::TxnResponse& answered) {
  const Revision revision = answered.header().revision();
  std::vector<PartOutcome> outcomes;
  std::size_t last_applied = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    outcomes.push_back(
        outcome_of(sent.parts[i], answered.responses(static_cast<int>(i)), counters_));
    if (outcomes[i] == PartOutcome::applied) last_applied = i;
  }
  finish_request(lane, sent, revision);
  Batch later;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Pending& pending = *batch[i];
    if (outcomes[i] == PartOutcome::applied) {
      applied(lane, pending, sent.parts[i], revision, i == last_applied);
    } else if (outcomes[i] == PartOutcome::sums_overtaken) {
      Statistics::add(context_.statistics->sums_overtaken);
      try_again(later, batch[i], "others add to the same number all the time");
    } else if (pending.validated) {
      try_again(later, batch[i], "others commit all the time");
    } else {
      answer(pending, fail(overtaken_error("something that the transaction read has changed")));
    }
  }
  batch.clear();
  put_back(std::move(later));
}

void Committer::settle_found(Lane& lane, Batch& batch, const Sent& sent,
                             const FoundOutcome& found) {
  finish_request(lane, sent, found.applied_at);
  Batch later;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!found.parts[i]) {
      answer(*batch[i],
             fail(ErrorKind::outcome_unknown,
                  "the answer to a commit was lost, and etcd compacted the revision that "
                  "would tell its outcome; read the data before doing it again"));
    } else if (*found.parts[i]) {
      // Not exact for those behind it: which of them took effect is known, but not worth the care.
      applied(lane, *batch[i], sent.parts[i], found.applied_at, false);
    } else {
      try_again(later, batch[i], "something that the transaction read has changed");
    }
  }
  batch.clear();
  put_back(std::move(later));
}

// Every request that was carried out moves stamp and lane, whatever became of its transactions.
void Committer::finish_request(Lane& lane, const Sent& sent, Revision revision) {
  lane.guards.lane_revision = revision;
  context_.clock->saw(sent.last);
  context_.versions->add({sent.last, revision, nullptr});
}

void Committer::applied(Lane& lane, Pending& pending, const Sent::Part& part, Revision revision,
                        bool is_last) {
  learn_writes(part, revision, counters_);
  std::shared_ptr<const RangeSet> footprint;
  if (!is_last) {
    footprint = std::make_shared<const RangeSet>(pending.plan.footprint.whole());
  }
  context_.versions->add({part.version, revision, std::move(footprint)});
  if (!pending.plan.request.write_conflicts.empty()) {
    lane.guards.declared.add(part.version, pending.plan.request.write_conflicts);
    lane.guards.declared_revision = revision;
  }
  Statistics::add(context_.statistics->commits);
  CommitReceipt receipt;
  receipt.version = part.version;
  answers_.emplace_back(pending.done, receipt);
}

void Committer::try_again(Batch& later, PendingPtr pending, const char* why) {
  pending->validated.reset();
  if (++pending->attempts < kTransactionAttempts) {
    later.push_back(std::move(pending));
  } else {
    answer(*pending, fail(overtaken_error(why)));
  }
}

// A guard of the request did not hold.
Status Committer::learn(Lane& lane, const pb::TxnResponse& told) {
  if (told.responses_size() < 3) return fail(garbled_error());
  SEMPER_TRY(const Version stamp, stamp_in(only_row(told.responses(0))));
  context_.clock->saw(stamp);
  const auto* declared = only_row(told.responses(1));
  const Revision declared_revision = declared == nullptr ? 0 : declared->mod_revision();
  if (declared_revision != lane.guards.declared_revision) {
    SEMPER_TRY(lane.guards.declared,
               DeclaredWrites::decode(declared == nullptr ? Bytes() : declared->value()));
    lane.guards.declared_revision = declared_revision;
  }
  const auto* row = only_row(told.responses(2));
  auto& known = lane.guards.lane_revision;
  // Swept: this handle did nothing for a day.
  if (row == nullptr || row->mod_revision() != known) known = 0;
  return {};
}

Task<void> Committer::recover(Lane& lane, Batch& batch, const Sent& sent,
                              const WriteFailure& failure, Backoff& pause) {
  if (failure.fate != Fate::refused) {
    co_await resolve(lane, batch, sent, failure, pause);
  } else if (is_passing(failure.error)) {
    co_await wait_to_resend(batch, failure.error, pause);
  } else if (batch.size() > 1) {
    // One of them is at fault: each for itself.
    for (auto& pending : batch) pending->alone = true;
    put_back(std::exchange(batch, {}));
  } else {
    answer_all(batch, failure.error);
  }
}

Task<void> Committer::resolve(Lane& lane, Batch& batch, const Sent& sent,
                              const WriteFailure& failure, Backoff& pause) {
  Statistics::add(context_.statistics->outcomes_lost);
  if (SEMPER_MUTANT("etcd_lost_answer_taken_for_success")) {
    FoundOutcome all;
    all.applied_at = lane.guards.lane_revision + 1;
    all.parts.assign(sent.parts.size(), true);
    settle_found(lane, batch, sent, all);
    co_return;
  }
  if (SEMPER_MUTANT("etcd_lost_answer_sent_again")) {
    lane.guards.lane_revision = 0;
    co_await wait_to_resend(batch, failure.error, pause);
    co_return;
  }
  const LostRequest lost{context_.layout, lane.guards.lane, lane.guards.lane_revision, &sent,
                         failure.fate};
  auto found = co_await find_outcome(*context_.kv, context_.env, lost);
  if (!found) {
    lane.guards.lane_revision = 0;
    answer_all(batch, found.error());
    co_return;
  }
  Statistics::add(context_.statistics->outcomes_found);
  if (found->applied_at != 0) {
    settle_found(lane, batch, sent, *found);
    co_return;
  }
  if (failure.fate == Fate::processed) {
    answer_all(batch, failure.error);
    co_return;
  }
  lane.guards.lane_revision = 0;
  co_await wait_to_resend(batch, failure.error, pause);
}

// Nothing of the batch was applied. Those whose time is over get the error, and keeps the others.
Task<void> Committer::wait_to_resend(Batch& batch, const Error& error, Backoff& pause) {
  if (!is_passing(error)) {
    answer_all(batch, error);
    co_return;
  }
  const auto now = context_.env.clock->now();
  std::erase_if(batch, [&](const PendingPtr& pending) {
    if (now < pending->until) return false;
    answer(*pending, fail(ErrorKind::io,
                          "nothing was applied, the etcd cluster did not take it in "
                          "time: " +
                              error.message()));
    return true;
  });
  if (batch.empty()) co_return;
  wake();
  const auto slept = co_await sleep_for(*context_.env.clock, pause.next());
  if (!slept) answer_all(batch, slept.error());
}

void Committer::answer(Pending& pending, Answer with) {
  if (!with && with.error().kind() == ErrorKind::conflict) {
    Statistics::add(context_.statistics->conflicts);
  }
  answers_.emplace_back(pending.done, std::move(with));
}

void Committer::answer_all(Batch& batch, const Error& error) {
  for (auto& pending : batch) answer(*pending, fail(error));
  batch.clear();
}

// Callers hear of their outcomes together.
void Committer::wake() {
  OneShot<Answer>::set_all(std::exchange(answers_, {}));
}

Async<void> Committer::close() {
  OneShot<std::monostate> idle;
  bool wait = false;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(closing_, true)) co_return Status{};
    for (const auto& lane : lanes_) wait = wait || lane.is_at_work;
    if (wait) idle_ = idle;
  }
  if (wait) SEMPER_CO_TRY_STATUS(co_await idle.wait());
  for (const auto& lane : lanes_) {
    if (lane.guards.lane_revision != 0) co_await remove_lane(*context_.kv, lane.guards.lane);
  }
  co_return Status{};
}

}  // namespace semper::etcd
