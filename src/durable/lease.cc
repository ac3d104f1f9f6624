#include "semper/durable/internal/lease.h"

#include <functional>
#include <string>

#include "semper/base/internal/mutant.h"
#include "semper/durable/system_errors.h"

namespace semper::internal {

std::optional<Error> Members::down() const {
  std::optional<Error> why;
  for (const auto& core : cores) {
    auto down = core->down();
    if (!down) return std::nullopt;
    if (!why) why = std::move(down);
  }
  return why;
}

void Members::close() const {
  if (cores.front()->fork.is_foreign()) return;
  if (turns) turns->close();
  for (const auto& core : cores) core->close();
}

bool Members::none_is_intact() const {
  for (const auto& core : cores) {
    if (core->is_announced()) return false;
  }
  return true;
}

Use::~Use() {
  if (!is_taken_ || !turn_) return;
  if (!is_judged_) core().note_cut_off(*held_, "an f on it was cut off, or threw");
  if (core().settings().probe_after_idle != kForever) held_->last_used = core().clock().now();
  held_ = nullptr;  // what it disposes of goes before the turn does
}

Result<bool> Use::take_at_once() {
  const Members& members = *members_;
  SEMPER_TRY_STATUS(members.cores.front()->check_fork());
  if (members.cores.size() > 1) return false;
  DurableCore& only = *members.cores.front();
  if (members.turns) {
    turn_ = members.turns->try_take(0);
    if (!turn_) return false;
  }
  held_ = only.current();
  if (!held_) return false;
  SEMPER_TRY(const bool broken, only.is_broken(*held_));
  const bool usable = !broken || SEMPER_MUTANT("durable_broken_value_used");
  if (!usable || (turn_ && only.is_probe_due(*held_))) return false;
  if (!held_->announced_intact.load(std::memory_order_relaxed)) only.announce_intact(held_);
  is_taken_ = true;
  return true;
}

Async<void> Use::take(Use& use, Call call) {
  const Members& members = *use.members_;
  if (members.turns) {
    SEMPER_CO_TRY_STATUS(co_await take_turn(use, call));
  } else {
    SEMPER_CO_TRY(use.held_,
                  co_await DurableCore::obtain(members.cores.front(), std::move(use.held_), call));
  }
  use.is_taken_ = true;
  co_return Status();
}

Async<void> Use::take_turn(Use& use, Call call) {
  const Members& members = *use.members_;
  use.held_ = nullptr;  // it is found again, and what is replaced is not kept
  const bool is_counted = static_cast<bool>(use.turn_);
  Clock& clock = members.cores.front()->clock();
  std::function<bool(std::size_t)> is_good;
  if (members.cores.size() > 1) {
    is_good = [&members](std::size_t place) { return members.cores[place]->is_announced(); };
  }
  while (!use.turn_) {
    if (call.when_down == WhenDown::fail) {
      if (auto why = members.down()) co_return fail(std::move(*why));
    }
    SEMPER_CO_TRY(Turns::Answer answer,
                  co_await Turns::take(members.turns, clock, call.deadline, is_good));
    use.turn_ = std::move(answer.turn);
    if (!use.turn_ && call.when_down != WhenDown::wait) co_return fail(std::move(*answer.failure));
  }
  const auto core = members.cores[use.turn_.place()];
  if (!is_counted) static_cast<void>(core->current());
  MonotonicTime not_before = MonotonicTime::min();
  while (true) {
    auto held = co_await core->ready(call, not_before);
    if (held) {
      use.held_ = std::move(*held);
      co_return Status();
    }
    not_before = co_await core->next_try(call);
    // It is the failure of those who waited meanwhile, too, where nobody else can serve them.
    if (not_before != kNever && members.none_is_intact()) {
      members.turns->fail_waiting(held.error());
    }
    if (not_before == kNever || call.when_down != WhenDown::wait) co_return fail(held.error());
  }
}

void Use::succeeded() {
  is_judged_ = true;
  if (!held_->was_of_use.load(std::memory_order_relaxed)) {
    held_->was_of_use.store(true, std::memory_order_relaxed);
  }
}

void Use::failed(const Error& error, DurableCore::Thrown thrown, bool is_cut_off) {
  is_judged_ = true;
  core().note_failure_of_f(*held_, error, thrown, is_cut_off);
}

Error Use::passed_deadline(const Error& its_own) {
  Error error(
      ErrorKind::outcome_unknown,
      core().settings().name +
          ": the deadline of the call passed while f ran; f was cancelled, and whether it took "
          "effect is not known (" +
          its_own.to_string() + ")");
  failed(error, DurableCore::Thrown::no, true);
  return error;
}

Error Use::error_of(const std::system_error& thrown) const {
  return error_from_system(thrown.code(), core().settings().name);
}

}  // namespace semper::internal
