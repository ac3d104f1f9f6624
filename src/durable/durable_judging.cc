// Whether a value is intact: who says so, what follows, and who is told.
#include <exception>
#include <string>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/internal/thrown.h"
#include "semper/durable/internal/durable_core.h"
#include "semper/durable/internal/hooks.h"

namespace semper::internal {

Error DurableCore::broken_after_build() const {
  return Error(ErrorKind::retry,
               settings_.name + ": the value was broken right after it was built");
}

Result<bool> DurableCore::is_broken(HeldBase& held) const {
  if (held.marked_broken.load(std::memory_order_relaxed)) return true;
  if (held.retires != kNever && clock().now() >= held.retires) return true;
  try {
    return hooks_.is_broken(held);
  } catch (const std::exception& thrown) {
    return fail(ErrorKind::internal,
                settings_.name + ": is_broken threw: " + internal::text_of(thrown));
  } catch (...) {
    return fail(ErrorKind::internal, settings_.name + ": is_broken threw no std::exception");
  }
}

void DurableCore::announce(bool intact) {
  if (intact) log_.connected();
  if (announced_ == intact) return;
  announced_ = intact;
  count_intact(intact ? 1 : -1);
  is_intact_.post(intact);
}

void DurableCore::note_broken(ConnectionLog::Cause cause, std::string_view why) {
  if (value_) value_->announced_intact.store(false, std::memory_order_relaxed);
  if (announced_) ++statistics_.breaks;
  log_.lost(cause, why);
  if (!SEMPER_MUTANT("durable_loss_not_announced")) announce(false);
  if (pace_ && value_ && value_->was_of_use.exchange(false, std::memory_order_relaxed)) {
    pace_->reset();
  }
}

void DurableCore::note_found_broken() {
  const bool retired = value_ && value_->retires != kNever && clock().now() >= value_->retires;
  note_broken(retired ? ConnectionLog::Cause::caller : ConnectionLog::Cause::connection,
              retired ? "max_lifetime has passed" : "it was found broken");
}

void DurableCore::announce_intact(const HeldPointer& held) {
  {
    std::lock_guard lock(mutex_);
    if (value_ != held || attempt_ || closed_) return;
    if (held->marked_broken.load(std::memory_order_relaxed)) return;  // since it was judged
    held->announced_intact.store(true, std::memory_order_relaxed);
    announce(true);
  }
  deliver();
  answer_paused(held);
}

Result<bool> DurableCore::check() {
  SEMPER_TRY_STATUS(check_fork());
  const auto self = shared_from_this();
  Turns::Turn turn;
  HeldPointer held;
  {
    std::lock_guard lock(mutex_);
    if (!attempt_) held = value_;
  }
  if (!held) return false;
  if (is_exclusive()) {
    turn = settings_.turns->try_take(settings_.place);
    if (!turn) return held->announced_intact.load(std::memory_order_relaxed);  // it is in use
  }
  SEMPER_TRY(const bool broken, is_broken(*held));
  if (!broken) {
    announce_intact(held);
    return true;
  }
  {
    std::lock_guard lock(mutex_);
    if (value_ == held && !attempt_) note_found_broken();
  }
  deliver();
  wake_repair();
  return false;
}

void DurableCore::break_value(const void* value, ConnectionLog::Cause cause,
                              const std::string& why) {
  if (fork.is_foreign()) return;
  const auto self = shared_from_this();
  {
    std::lock_guard lock(mutex_);
    if (SEMPER_MUTANT("durable_invalidation_of_an_old_value_breaks_the_new_one")) value = nullptr;
    // What is being built may have begun with what the event is about.
    if (attempt_ && value == nullptr) attempt_->is_stale = true;
    if (!value_ || attempt_ || (value != nullptr && value_->address != value)) return;
    value_->marked_broken.store(true, std::memory_order_relaxed);
    note_broken(cause, why);
  }
  deliver();
  wake_repair();
}

void DurableCore::note_failure_of_f(HeldBase& held, const Error& error, Thrown thrown,
                                    bool is_cut_off) {
  const bool may_break = is_exclusive() || thrown == Thrown::yes || settings_.breaks_on;
  if (!may_break) return;
  const bool stops_halfway =
      is_cut_off || thrown == Thrown::yes || error.kind() == ErrorKind::cancelled;
  bool breaks = is_exclusive() && stops_halfway;
  if (!breaks && settings_.breaks_on) {
    breaks = says_yes(settings_.breaks_on, error, settings_.name + ": breaks_on", IfThrown::yes);
  } else if (!breaks) {
    const bool is_callers = !is_exclusive() && error.kind() == ErrorKind::cancelled;
    breaks = !is_callers && is_connection_error(error);
  }
  if (!breaks) return;
  // What an f of the user's puts into its error may be anything; the system's own texts may be
  // shown.
  const std::string why = thrown == Thrown::yes
                              ? error.to_string()
                              : "an f on it failed with " + std::string(to_string(error.kind()));
  break_value(held.address,
              is_cut_off || error.kind() == ErrorKind::cancelled ? ConnectionLog::Cause::caller
                                                                 : ConnectionLog::Cause::connection,
              why);
}

void DurableCore::note_probe_failed(const HeldPointer& held, const Error& error) {
  {
    std::lock_guard lock(mutex_);
    held->marked_broken.store(true, std::memory_order_relaxed);
    if (value_ == held && !attempt_) {
      note_broken(ConnectionLog::Cause::connection, "the probe failed: " + error.to_string());
    }
  }
  deliver();
}

void DurableCore::note_cut_off(const HeldBase& held, const char* why) {
  break_value(held.address, ConnectionLog::Cause::caller, why);
}

}  // namespace semper::internal
