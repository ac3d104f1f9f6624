// The transactions of one atomically().
//
// Invariants:
//   - nothing is held while it waits: each attempt is a transaction of its own, which a change of
//     any of the headers that it read makes conflict. That is all that correctness rests on: a hold
//     (orders.h), which conflicts are answered with, is a courtesy of the hosts;
//   - `ahead` of a part counts the messages that were in its queue at the first look, as the
//     entity's pushed counter did; its turn has come when as many were taken.
#include "semper/server/internal/atomic_run.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/internal/cancellable.h"
#include "semper/server/ref.h"
#include "semper/store/too_old.h"
#include "server/send/call_chain.h"
#include "server/send/store_in_process.h"
#include "server/serve/entity.h"
#include "server/serve/expiry.h"

namespace semper::internal {
namespace {

// What it waits for is looked at so often, where nothing wakes it: an order to unlock does not
// touch the header.
constexpr Duration kAtomicallyLook = std::chrono::milliseconds(250);
// A hold is asked for twice as long as the longest attempt was, but not for less: a quick one may
// be slow once.
constexpr Duration kHoldMinimum = std::chrono::milliseconds(200);
// Attempts in a row whose snapshot became too old: this process was stopped, or its disk stalls.
constexpr int kAtomicallyTooOld = 3;
constexpr BackoffOptions kAtomicallyPauses = {.initial = std::chrono::microseconds(500),
                                              .maximum = std::chrono::milliseconds(50)};

// The part of a transaction's time that the function may take.
Duration function_maximum(const Limits& limits) {
  return limits.transaction_duration * 4 / 5;
}

std::string in_words(Duration span) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) +
         " ms";
}

class AtomicAttempts final : public AtomicRun {
 public:
  AtomicAttempts(Tenant tenant, std::vector<AtomicPart> parts, const AtomicallyOptions& options)
      : tenant_(std::move(tenant)), given_(std::move(parts)), options_(options) {}

  Async<void> begin() override;
  std::span<void* const> states() override { return states_; }
  Transaction& transaction() override { return *transaction_; }
  WallTime now() override {
    if (!wall_time_) wall_time_ = clock().wall_time();
    return *wall_time_;
  }
  void send(const RawRef& to, RawMessage message) override {
    casts_.push_back({to, std::move(message)});
  }
  Async<void> within_time(Task<void> function) override;
  Async<bool> finish(Status ended) override;
  Task<void> give_up() override;

 private:
  struct Part {
    explicit Part(std::shared_ptr<const Target> of) : target(std::move(of)), entity(target) {}

    std::shared_ptr<const Target> target;
    std::shared_ptr<Behaviour> behaviour;
    Entity entity;
    std::optional<std::uint64_t> ahead;
    std::uint64_t popped = 0;  // at the last look
    SeenHold hold;             // another's
  };
  struct Cast {
    RawRef to;
    RawMessage message;
  };
  // What it waits for.
  struct Obstacle {
    Obstacle(const Part* of, std::string in_words) : part(of), what(std::move(in_words)) {}

    const Part* part;
    std::string what;
    Duration look_again = kAtomicallyLook;
  };

  Clock& clock() const { return *tenant_.store()->env().clock; }
  Status check_arguments();
  Result<Part> make_part(const AtomicPart& given) const;
  Async<void> wait_for_turn();
  Async<std::optional<Obstacle>> look();
  Status make_states();
  std::optional<Obstacle> obstacle_of(Part& part) const;
  Async<void> wait(const Obstacle& obstacle);
  Async<void> before_retry(const Error& error);
  bool is_held_by_others(Part& part);
  Async<void> ask_to_be_let_by();
  Async<void> end_hold();
  Async<void> write();
  Async<void> put_expiries_off();
  Async<void> send_casts();
  Error late(const std::string& what) const;

  const Tenant tenant_;
  std::vector<AtomicPart> given_;
  const AtomicallyOptions options_;
  bool is_checked_ = false;
  MonotonicTime deadline_{};
  MonotonicTime began_{};  // the attempt
  std::vector<Part> parts_;
  std::vector<void*> states_;
  std::vector<Cast> casts_;
  std::optional<Transaction> transaction_;
  std::optional<WallTime> wall_time_;
  std::optional<Backoff> pauses_;
  Duration longest_{};  // attempt
  HoldStamp held_;      // asked for by this; empty: nothing is
  int conflicts_ = 0;   // in a row
  int too_old_ = 0;     // in a row
};

Error AtomicAttempts::late(const std::string& what) const {
  return Error(ErrorKind::timeout, "atomically: " + what + " when its " +
                                       in_words(options_.timeout) +
                                       " were over; nothing was changed");
}

Result<AtomicAttempts::Part> AtomicAttempts::make_part(const AtomicPart& given) const {
  const auto& store = *tenant_.store();
  const std::string name = given.id.to_string();
  if (!given.tenant.store()) return fail(given.tenant.store().error().in(name));
  if (!(*given.tenant.store() == store)) {
    return fail(ErrorKind::invalid_argument, "atomically: the Ref of " + name +
                                                 " was made with another store, or another "
                                                 "handle on it, than is given, " +
                                                 store.url() + "; make it from that one");
  }
  if (given.tenant.prefix() != tenant_.prefix()) {
    return fail(ErrorKind::invalid_argument,
                "atomically: " + name + " is in another tenant of the store than is given");
  }
  Part part(std::make_shared<const Target>(tenant_, given.id));
  SEMPER_TRY_STATUS(part.target->valid);
  const auto server = StoreInProcess::of(store)->hosts.find(tenant_.prefix(), given.id.type);
  if (server && server->behaviour_type() == given.behaviour_type) {
    part.behaviour = server->behaviour();
  } else if (given.make_behaviour != nullptr) {
    part.behaviour = given.make_behaviour();
  } else {
    return fail(ErrorKind::unsupported,
                "atomically: the behaviour of " + name +
                    " has no default constructor, and no "
                    "host of this process serves it; call it where one does");
  }
  return part;
}

Status AtomicAttempts::check_arguments() {
  if (!tenant_.store()) return fail(tenant_.store().error());
  SEMPER_TRY_STATUS(StoreInProcess::of(*tenant_.store())->fork.check("this store"));
  if (given_.empty()) return fail(ErrorKind::invalid_argument, "atomically: no Ref was given");
  if (given_.size() > kAtomicallyEntities) {
    return fail(ErrorKind::exhausted, Limit{"kAtomicallyEntities", kAtomicallyEntities},
                "atomically: " + std::to_string(given_.size()) + " entities are more than " +
                    std::to_string(kAtomicallyEntities) + "; do it in steps");
  }
  std::set<EntityId> ids;
  parts_.reserve(given_.size());
  for (const auto& given : given_) {
    SEMPER_TRY(auto part, make_part(given));
    if (!ids.insert(given.id).second) {
      return fail(ErrorKind::invalid_argument,
                  "atomically: " + given.id.to_string() + " is given twice");
    }
    parts_.push_back(std::move(part));
  }
  deadline_ = clock().after(options_.timeout);
  pauses_.emplace(kAtomicallyPauses, *tenant_.store()->env().random);
  is_checked_ = true;
  return {};
}

Async<void> AtomicAttempts::begin() {
  if (!is_checked_) {
    SEMPER_CO_TRY_STATUS(check_arguments());
    const Executor from = co_await asio::this_coro::executor;
    for (const auto& part : parts_) {
      SEMPER_CO_TRY_STATUS(chain_of(from, *part.target, Sent::together));
    }
  }
  Status ready = co_await wait_for_turn();
  if (ready) ready = make_states();
  if (ready) co_return Status{};
  static_cast<void>(co_await end_hold());
  co_return fail(ready.error());
}

Async<void> AtomicAttempts::wait_for_turn() {
  while (true) {
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    began_ = clock().now();
    wall_time_.reset();
    transaction_.emplace(tenant_.store()->begin());
    const auto obstacle = co_await look();
    if (!obstacle) {
      SEMPER_CO_TRY_STATUS(co_await before_retry(obstacle.error()));
      continue;
    }
    if (!*obstacle) co_return Status{};
    SEMPER_CO_TRY_STATUS(co_await wait(**obstacle));
  }
}

// Reads all of them, whatever is in the way of one: each has to know what was there when it was
// asked.
Async<std::optional<AtomicAttempts::Obstacle>> AtomicAttempts::look() {
  std::optional<Obstacle> first;
  for (auto& part : parts_) {
    SEMPER_CO_TRY_STATUS(co_await part.entity.load(*transaction_, *part.behaviour, 0));
    auto obstacle = obstacle_of(part);
    if (!obstacle && is_held_by_others(part)) {
      obstacle.emplace(&part, part.target->id.to_string() + " was held for another atomically()");
      obstacle->look_again = kHoldLook;
    }
    if (!first) first = std::move(obstacle);
  }
  co_return first;
}

std::optional<AtomicAttempts::Obstacle> AtomicAttempts::obstacle_of(Part& part) const {
  const auto& header = part.entity.header();
  const std::uint64_t pushed = header.popped + part.entity.queue_length();
  // A killed entity counts anew, and what was ahead is gone.
  const bool was_killed = part.ahead && (pushed < *part.ahead || header.popped < part.popped);
  if (!part.ahead || SEMPER_MUTANT("server_atomically_waits_for_an_empty_queue")) {
    part.ahead = pushed;
  }
  if (was_killed) part.ahead = 0;
  part.popped = header.popped;
  const std::string name = part.target->id.to_string();
  if (header.lock && !SEMPER_MUTANT("server_atomically_ignores_the_lock")) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        clock().wall_time().time_since_epoch());
    const auto since = now.count() - header.lock->acquired_ms;
    return Obstacle{&part, name + " was locked by host " + header.lock->owner + ", by its clock " +
                               std::to_string(std::max<std::int64_t>(since, 0)) + " ms before,"};
  }
  if (options_.queue == AtomicallyOptions::Queue::overtakes || header.popped >= *part.ahead) {
    return std::nullopt;
  }
  if (SEMPER_MUTANT("server_atomically_overtakes_the_queue")) return std::nullopt;
  return Obstacle{&part, "of the messages that were queued at " + name + " before, " +
                             std::to_string(*part.ahead - header.popped) +
                             " had not been handled (does a host serve it?)"};
}

Async<void> AtomicAttempts::wait(const Obstacle& obstacle) {
  if (clock().now() >= deadline_) co_return fail(late(obstacle.what));
  const MonotonicTime until = std::min(deadline_, clock().after(obstacle.look_again));
  auto watch = co_await transaction_->watch(obstacle.part->target->keys.header());
  transaction_.reset();
  Status woken;
  if (watch) {
    woken = co_await (*watch)->changed(until);
  } else if (watch.error().kind() == ErrorKind::exhausted) {
    woken = co_await sleep_until(clock(), until);
  } else {
    woken = fail(watch.error());
  }
  if (woken || woken.error().kind() == ErrorKind::timeout) co_return Status{};
  co_return co_await before_retry(woken.error());
}

// Returns where it may be tried again: then nothing was applied.
Async<void> AtomicAttempts::before_retry(const Error& error) {
  transaction_.reset();
  casts_.clear();
  if (is_too_old(error)) {
    if (++too_old_ >= kAtomicallyTooOld) co_return fail(error);
  } else if (error.kind() == ErrorKind::conflict) {
    ++conflicts_;
  } else {
    const bool guesses =
        error.kind() == ErrorKind::outcome_unknown && SEMPER_MUTANT("server_atomically_guesses");
    if (!guesses) co_return fail(error);
  }
  if (clock().now() >= deadline_) {
    co_return fail(late("others changed its entities " + std::to_string(conflicts_) +
                        " times in between, and it had not committed"));
  }
  longest_ = std::max(longest_, clock().now() - began_);
  if (error.kind() == ErrorKind::conflict && conflicts_ % kAtomicallyConflicts == 0) {
    co_return co_await ask_to_be_let_by();
  }
  co_return co_await sleep_for(clock(), pauses_->next());
}

bool AtomicAttempts::is_held_by_others(Part& part) {
  const auto& hold = part.entity.hold();
  if (!hold || hold->stamp == held_) return false;
  return part.hold.stands(hold, clock().now());
}

// In one commit for all entities, or for none: so no two wait for each other.
Async<void> AtomicAttempts::ask_to_be_let_by() {
  if (SEMPER_MUTANT("server_atomically_never_asks")) co_return Status{};
  const Duration most = tenant_.store()->limits().transaction_duration;
  const Duration at_most = std::clamp<Duration>(2 * longest_, kHoldMinimum, most);
  bool is_free = true;
  const auto ask = [&](Transaction& transaction) -> Async<void> {
    for (const auto& part : parts_) {
      const auto& known = part.entity.hold();
      const HoldStamp over = known ? known->stamp : held_;
      SEMPER_CO_TRY(is_free, co_await ask_to_hold(transaction, part.target->keys, at_most, over));
      if (!is_free) co_return fail(ErrorKind::not_found, "another is let by");
    }
    co_return Status{};
  };
  Versionstamp stamp;
  TransactOptions options;
  options.committed_at = &stamp;
  const auto asked = co_await tenant_.store()->transact(ask, options);
  if (asked && stamp.is_complete()) held_ = hold_stamp(stamp);
  if (asked || !is_free) co_return Status{};
  // It was only a courtesy that was asked for.
  if (asked.error().kind() == ErrorKind::cancelled) co_return fail(asked.error());
  co_return co_await sleep_for(clock(), pauses_->next());
}

// Where nothing came of it. A hold that is not ended here is heeded for its time only.
Async<void> AtomicAttempts::end_hold() {
  if (held_.empty()) co_return Status{};
  const auto end = [&](Transaction& transaction) -> Async<void> {
    for (const auto& part : parts_) {
      SEMPER_CO_TRY_STATUS(co_await internal::end_hold(transaction, part.target->keys, held_));
    }
    co_return Status{};
  };
  const auto ended = co_await tenant_.store()->transact(end);
  held_.clear();
  co_return ended;
}

Status AtomicAttempts::make_states() {
  states_.clear();
  for (auto& part : parts_) {
    SEMPER_TRY(void* const state, part.entity.state(*part.behaviour));
    part.entity.touch();
    states_.push_back(state);
  }
  return {};
}

Async<void> AtomicAttempts::within_time(Task<void> function) {
  const Duration most = function_maximum(transaction_->limits());
  const MonotonicTime until = began_ + most;
  const bool is_late = co_await run_until(clock(), until, std::move(function));
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  if (!is_late) co_return Status{};
  co_return fail(ErrorKind::timeout, "atomically: the function took longer than the " +
                                         in_words(most) +
                                         " that it has within a transaction; nothing was changed");
}

Async<bool> AtomicAttempts::finish(Status ended) {
  if (ended) ended = not_cancelled(co_await asio::this_coro::cancellation_state);
  if (!ended && SEMPER_MUTANT("server_atomically_commits_a_refusal")) ended = Status{};
  if (ended) ended = co_await write();
  if (ended && transaction_->operation_count() > 0) {
    const auto committed = co_await transaction_->commit();
    if (!committed) ended = fail(committed.error());
  }
  if (ended) co_return true;
  const auto again = co_await before_retry(ended.error());
  if (again) co_return false;
  static_cast<void>(co_await end_hold());
  co_return fail(again.error());
}

// First the messages: for those to the entities themselves the headers may be read, which is not
// possible once they are written.
Async<void> AtomicAttempts::write() {
  const bool sends_last = SEMPER_MUTANT("server_atomically_sends_behind_its_states");
  if (!sends_last) {
    SEMPER_CO_TRY_STATUS(co_await send_casts());
  }
  SEMPER_CO_TRY_STATUS(co_await put_expiries_off());
  for (auto& part : parts_) {
    // Its own, or one that is over.
    if (part.entity.hold()) transaction_->clear(part.target->keys.order());
    const bool is_last = &part == &parts_.back();
    if (is_last && SEMPER_MUTANT("server_atomically_drops_a_write")) continue;
    const Bytes before = part.entity.header_raw();
    const auto saved = part.entity.save(*transaction_, *part.behaviour);
    if (!saved) co_return fail(saved.error().in(part.target->id.to_string()));
    if (*saved && !before.empty() && SEMPER_MUTANT("server_atomically_keeps_the_stamp")) {
      Bytes header = part.entity.header().encode();
      header.replace(0, Versionstamp::size, before, 0, Versionstamp::size);
      transaction_->set(part.target->keys.header(), header);
    }
  }
  if (!sends_last) co_return Status{};
  co_return co_await send_casts();
}

Async<void> AtomicAttempts::put_expiries_off() {
  for (auto& part : parts_) {
    const ExpiryRules rules = part.behaviour->expiry_rules();
    if (!rules.is_any()) continue;
    const std::int64_t now_ms = to_timer_ms(now());
    TimerBook timers;
    const TimerBook::Place place{*transaction_, *transaction_, part.target->keys};
    std::vector<TimerRequest> request;
    request.push_back(put_expiry_off(rules, now_ms));
    timers.note(request, now_ms);
    const auto settled = co_await timers.settle(place, now_ms);
    if (!settled) co_return fail(settled.error().in(part.target->id.to_string()));
  }
  co_return Status{};
}

// Those to one entity in a row share their segments.
Async<void> AtomicAttempts::send_casts() {
  if (SEMPER_MUTANT("server_atomically_forgets_its_casts")) casts_.clear();
  for (auto next = casts_.begin(); next != casts_.end();) {
    const RawRef to = next->to;
    std::vector<RawMessage> messages;
    const auto is_to_the_same = [&](const RawRef& other) {
      return other.entity() == to.entity() && other.tenant().prefix() == to.tenant().prefix();
    };
    for (; next != casts_.end() && is_to_the_same(next->to); ++next) {
      messages.push_back(std::move(next->message));
    }
    const auto sent = co_await to.cast_in(*transaction_, std::move(messages));
    if (!sent) co_return fail(sent.error().in("a message to " + to.entity().to_string()));
  }
  casts_.clear();
  co_return Status{};
}

Task<void> AtomicAttempts::give_up() {
  transaction_.reset();
  casts_.clear();
  static_cast<void>(co_await end_hold());
}

}  // namespace

std::shared_ptr<AtomicRun> AtomicRun::make(Tenant tenant, std::vector<AtomicPart> parts,
                                           const AtomicallyOptions& options) {
  return std::make_shared<AtomicAttempts>(std::move(tenant), std::move(parts), options);
}

}  // namespace semper::internal
