#include "server/names/name_holding.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/backoff.h"
#include "semper/store/failure.h"
#include "server/format/name_keys.h"

namespace semper::internal {

NameHolding::NameHolding(std::shared_ptr<NamesOffice> office, std::shared_ptr<NameSession> session,
                         std::shared_ptr<const NameClaim> claim, std::uint64_t token)
    : office_(std::move(office)),
      session_(std::move(session)),
      claim_(std::move(claim)),
      token_(token) {
  office_->held.fetch_add(1);
  if (!session_->add(sign_)) sign_->end();
}

NameHolding::~NameHolding() {
  sign_->end();
  session_->remove(sign_);
  office_->held.fetch_sub(1);
  if (!is_released_.load()) office_->give_back_later(session_, claim_);
}

Error NameHolding::lost_error() const {
  return Error(ErrorKind::closed, "the name " + claim_->name + " is not held any more (token " +
                                      std::to_string(token_) +
                                      "): its lease ran out, it was released, or the registry was "
                                      "closed; step down, or campaign again");
}

Async<void> NameHolding::guard(Transaction& transaction) const {
  if (!is_held()) co_return fail(lost_error());
  const auto mode = SEMPER_MUTANT("server_names_guard_without_conflict") ? ReadMode::snapshot
                                                                         : ReadMode::serializable;
  const Bytes key = name_key(office_->prefix(), claim_->name);
  SEMPER_CO_TRY(const auto row, co_await transaction.get(key, mode));
  if (!row) co_return fail(lost_error());
  SEMPER_CO_TRY(const auto record, NameRecord::decode(*row));
  if (record.session == claim_->session && record.holding == claim_->holding) co_return Status{};
  co_return fail(lost_error());
}

Async<void> NameHolding::set_metadata(std::shared_ptr<NameHolding> self, NameMetadata metadata) {
  SEMPER_CO_TRY_STATUS(check_name_metadata(metadata));
  if (!self->is_held()) co_return fail(self->lost_error());
  const auto change = [&](Transaction& transaction) {
    return change_metadata(transaction, *self->claim_, metadata);
  };
  SEMPER_CO_TRY(const bool is_ours, co_await self->office_->store().transact(change));
  if (!is_ours) co_return fail(self->lost_error());
  co_return Status{};
}

Async<void> NameHolding::release(std::shared_ptr<NameHolding> self) {
  const bool was_held = self->is_held();
  self->sign_->end();
  if (self->is_released_.exchange(true) || !was_held) co_return fail(self->lost_error());
  std::function<Async<void>()> work = [self] {
    return [](std::shared_ptr<NameHolding> of) -> Async<void> {
      SEMPER_CO_TRY(const bool was_ours, co_await of->office_->give_back_now(
                                             of->session_, *of->claim_, LurkingCommit::none));
      if (!was_ours) co_return fail(of->lost_error());
      co_return Status{};
    }(self);
  };
  auto asking = std::make_shared<NameAsking>();
  co_return co_await self->office_->ask<void>(std::move(asking), std::move(work));
}

// ---- agents: coroutines on the registry's loop ---

namespace {

using HoldingPtr = std::shared_ptr<NameHolding>;

struct ClaimTask {
  std::shared_ptr<NamesOffice> office;
  std::shared_ptr<NameAsking> asking;
  NameClaim wanted;  // without a session
};

// A claim for this session, with a holding of its own.
std::shared_ptr<const NameClaim> claim_for(const ClaimTask& task, const NameSession& session) {
  NamesOffice& office = *task.office;
  auto claim = std::make_shared<NameClaim>(task.wanted);
  claim->session = session.id();
  claim->holding = office.store().env().random->bytes(8);
  claim->since_ms = std::chrono::floor<std::chrono::milliseconds>(office.clock().wall_time())
                        .time_since_epoch()
                        .count();
  return claim;
}

Error held_by(const ClaimTask& task, const ClaimOutcome& outcome) {
  std::string who = "others wait for it";
  if (outcome.holder) {
    who = "it is held by " + outcome.holder->owner + " with token " +
          std::to_string(outcome.holder->token());
  }
  return Error(ErrorKind::already_exists,
               "the name " + task.wanted.name + " is not free: " + who + "; campaign to wait");
}

Error unstable(const ClaimTask& task) {
  return Error(ErrorKind::retry,
               "this process was taken for dead again and again while it asked "
               "for the name " +
                   task.wanted.name + "; is its lease too short?");
}

// What a transaction on the claim came to, with the token where it has taken the name.
Async<ClaimOutcome> attempt(const ClaimTask& task, const NameClaim& claim,
                            Async<ClaimOutcome> (*act)(Transaction&, const NameClaim&)) {
  Versionstamp at;
  TransactOptions options;
  options.committed_at = &at;
  const auto work = [&](Transaction& transaction) { return act(transaction, claim); };
  SEMPER_CO_TRY(auto outcome, co_await task.office->store().transact(work, options));
  if (outcome.kind == ClaimOutcome::Kind::taken && !outcome.token) outcome.token = at.version();
  co_return outcome;
}

// Nothing where it was lost before anybody had it.
HoldingPtr hold(const ClaimTask& task, const std::shared_ptr<NameSession>& session,
                const std::shared_ptr<const NameClaim>& claim, const ClaimOutcome& outcome) {
  auto holding = std::make_shared<NameHolding>(task.office, session, claim, *outcome.token);
  return holding->is_held() ? holding : nullptr;
}

Async<HoldingPtr> acquire_here(std::shared_ptr<ClaimTask> task) {
  for (int beginning = 0; beginning < kClaimBeginnings; ++beginning) {
    SEMPER_CO_TRY(const auto session, co_await task->office->session());
    const auto claim = claim_for(*task, *session);
    auto outcome = co_await attempt(*task, *claim, take_name);
    if (!outcome) {
      task->office->give_back_later(session, claim);
      co_return fail(outcome.error());
    }
    if (outcome->kind == ClaimOutcome::Kind::taken) {
      if (auto holding = hold(*task, session, claim, *outcome)) co_return holding;
      continue;
    }
    if (outcome->kind != ClaimOutcome::Kind::session_gone) co_return fail(held_by(*task, *outcome));
    session->end();
  }
  co_return fail(unstable(*task));
}

bool is_passing(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::retry:
    case ErrorKind::timeout:
    case ErrorKind::conflict:
    case ErrorKind::outcome_unknown:
    case ErrorKind::io:
      return true;
    default:
      return false;
  }
}

// Why a campaign ends without the name; nothing: it goes on.
std::optional<Error> campaign_ends(const ClaimTask& task) {
  if (task.office->is_stopping()) return task.office->closed();
  if (auto failure = find_failure(task.office->store())) return failure;
  if (task.asking->is_left.load()) {
    return Error(ErrorKind::cancelled, "the campaign was cancelled");
  }
  if (task.office->clock().now() >= task.asking->deadline) {
    return Error(ErrorKind::timeout,
                 "the name " + task.wanted.name +
                     " was not free in time; the place in the line is given up");
  }
  return std::nullopt;
}

// One life in the line. Nothing: the session is gone, and it begins anew.
Async<HoldingPtr> stand_in_line(std::shared_ptr<ClaimTask> task,
                                std::shared_ptr<NameSession> session,
                                std::shared_ptr<const NameClaim> claim) {
  NamesOffice& office = *task->office;
  Backoff backoff({.initial = std::chrono::milliseconds(5), .maximum = std::chrono::seconds(1)},
                  *office.store().env().random);
  auto act = join_line;
  while (true) {
    if (auto end = campaign_ends(*task)) co_return fail(std::move(*end));
    if (!session->is_valid()) co_return nullptr;
    auto outcome = co_await attempt(*task, *claim, act);
    MonotonicTime until = std::min(office.clock().after(kNamesLook), task->asking->deadline);
    if (!outcome) {
      if (!is_passing(outcome.error())) co_return fail(outcome.error());
      until = std::min(office.clock().after(backoff.next()), task->asking->deadline);
      co_await office.wait(task->asking, nullptr, until);
      continue;
    }
    backoff.reset();
    switch (outcome->kind) {
      case ClaimOutcome::Kind::taken:
        co_return hold(*task, session, claim, *outcome);
      case ClaimOutcome::Kind::session_gone:
        session->end();
        co_return nullptr;
      case ClaimOutcome::Kind::line_is_full:
        co_return fail(ErrorKind::exhausted, Limit{"kCandidatesMaximum", kCandidatesMaximum},
                       "so many wait for the name " + task->wanted.name +
                           " already: " + std::to_string(kCandidatesMaximum));
      case ClaimOutcome::Kind::waits:
      case ClaimOutcome::Kind::held:
        break;
    }
    const bool has_joined = std::exchange(act, look_in_line) == join_line;
    if (has_joined) continue;
    co_await office.wait(task->asking, outcome->change, until);
  }
}

Async<HoldingPtr> campaign_here(std::shared_ptr<ClaimTask> task) {
  Backoff backoff({.initial = std::chrono::milliseconds(5), .maximum = std::chrono::seconds(1)},
                  *task->office->store().env().random);
  while (true) {
    if (auto end = campaign_ends(*task)) co_return fail(std::move(*end));
    const auto session = co_await task->office->session();
    if (session) {
      const auto claim = claim_for(*task, **session);
      auto holding = co_await stand_in_line(task, *session, claim);
      if (holding && *holding) co_return std::move(*holding);
      task->office->give_back_later(*session, claim);
      if (!holding) co_return fail(holding.error());
    } else if (!is_passing(session.error())) {
      co_return fail(session.error());
    }
    const auto until =
        std::min(task->office->clock().after(backoff.next()), task->asking->deadline);
    co_await task->office->wait(task->asking, nullptr, until);
  }
}

// A caller whose loop does not run must not keep everybody from the name.
Task<void> see_it_fetched(std::shared_ptr<ClaimTask> task, std::weak_ptr<NameHolding> offered) {
  const MonotonicTime latest = task->office->clock().after(kHandoverPatience);
  const auto& office = *task->office;
  // News are of other things, too.
  while (!task->asking->is_left.load() && !office.is_stopping() && office.clock().now() < latest) {
    co_await task->office->wait(task->asking, nullptr, latest);
  }
  // Whoever was here has it, or has dropped it.
  if (task->asking->is_left.load() || SEMPER_MUTANT("server_names_unfetched_is_kept")) co_return;
  const auto holding = offered.lock();
  if (holding && holding->take_back()) {
    static_cast<void>(co_await NameHolding::release(holding));
  }
}

Async<HoldingPtr> claimed(std::shared_ptr<ClaimTask> task,
                          Async<HoldingPtr> (*agent)(std::shared_ptr<ClaimTask>)) {
  NamesOffice& office = *task->office;
  SEMPER_CO_TRY_STATUS(office.check());
  SEMPER_CO_TRY_STATUS(check_name_text(task->wanted.name));
  SEMPER_CO_TRY_STATUS(check_name_metadata(task->wanted.metadata));
  if (office.held.load() >= kNamesHeldMaximum) {
    co_return fail(ErrorKind::exhausted, Limit{"kNamesHeldMaximum", kNamesHeldMaximum},
                   "this registry holds " + std::to_string(kNamesHeldMaximum) + " names already");
  }
  std::function<Async<HoldingPtr>()> work = [task, agent] {
    return [](std::shared_ptr<ClaimTask> of,
              Async<HoldingPtr> (*act)(std::shared_ptr<ClaimTask>)) -> Async<HoldingPtr> {
      auto holding = co_await act(of);
      if (holding) {
        asio::co_spawn(of->office->home.executor(), see_it_fetched(of, *holding), asio::detached);
      }
      co_return holding;
    }(task, agent);
  };
  auto asking = task->asking;
  SEMPER_CO_TRY(auto holding, co_await office.ask<HoldingPtr>(std::move(asking), std::move(work)));
  if (holding->fetch()) co_return holding;
  co_return fail(ErrorKind::retry, "the name " + task->wanted.name +
                                       " was given back, because the loop of its caller did not "
                                       "run; ask again");
}

std::shared_ptr<ClaimTask> make_task(std::shared_ptr<NamesOffice> office, std::string name,
                                     NameMetadata metadata) {
  auto task = std::make_shared<ClaimTask>();
  task->asking = std::make_shared<NameAsking>();
  task->wanted.prefix = office->prefix();
  task->wanted.name = std::move(name);
  task->wanted.owner = office->options.owner;
  task->wanted.metadata = std::move(metadata);
  task->office = std::move(office);
  return task;
}

}  // namespace

Async<HoldingPtr> acquire_name(std::shared_ptr<NamesOffice> office, std::string name,
                               NameMetadata metadata) {
  auto task = make_task(std::move(office), std::move(name), std::move(metadata));
  co_return co_await claimed(std::move(task), acquire_here);
}

Async<HoldingPtr> campaign_for(std::shared_ptr<NamesOffice> office, std::string name,
                               CampaignOptions options) {
  auto task = make_task(std::move(office), std::move(name), std::move(options.metadata));
  task->asking->deadline = task->office->clock().after(options.timeout);
  co_return co_await claimed(std::move(task), campaign_here);
}

}  // namespace semper::internal
