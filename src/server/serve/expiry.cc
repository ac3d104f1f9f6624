#include "server/serve/expiry.h"

#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

// Of a period, by which the timer is set too late, so that not every message has to put it off.
constexpr std::int64_t kSlack = 16;
// The content of the tick, which says nothing: CBOR's null.
constexpr char kNothing = '\xf6';

}  // namespace

TimerRequest put_expiry_off(const ExpiryRules& rules, std::int64_t now_ms) {
  const std::int64_t period = to_timer_ms(rules.after);
  TimerRequest request;
  request.name = kExpiryTimer;
  request.unless_due_from_ms = now_ms + period;
  TimerSpec& spec = request.spec.emplace();
  spec.kind = TimerSpec::Kind::at;
  spec.first_ms = now_ms + period + period / kSlack;
  spec.message = {std::string(kExpiryMessage), Bytes(1, kNothing)};
  if (SEMPER_MUTANT("server_expiry_comes_early")) spec.first_ms = now_ms + period / 2;
  return request;
}

bool knows_expiry(const Desk& desk) {
  return desk.entity.has_state() && desk.expires_of == desk.entity.header().stamp;
}

void note_activity(const ExpiryRules& rules, const Desk& desk, std::int64_t now_ms,
                   CallbackSends& sends) {
  const bool is_known = knows_expiry(desk);
  if (is_known && desk.expires_ms >= now_ms + to_timer_ms(rules.after)) return;
  if (is_known && SEMPER_MUTANT("server_expiry_not_put_off")) return;
  sends.timers.push_back(put_expiry_off(rules, now_ms));
}

void learn_expiry(Desk& desk, const TimerBook& timers, bool was_known) {
  const std::string name(kExpiryTimer);
  if (timers.knows(name)) {
    desk.expires_ms = timers.due_of(name).value_or(0);
  } else if (!was_known) {
    return;
  }
  desk.expires_of = desk.entity.header().stamp;
}

Async<bool> may_expire(Transaction& transaction, const EntityKeys& keys, const ExpiryRules& rules) {
  if (!rules.with_dead_letters) {
    const RangeOptions first{.limit = 1};
    SEMPER_CO_TRY(const auto letters, co_await transaction.get_range(keys.dead_letters(), first));
    if (!letters.rows.empty()) co_return false;
  }
  if (!rules.with_timers) {
    // Its own is one.
    SEMPER_CO_TRY(const auto timers, co_await transaction.get(keys.timer_count()));
    if (counter_value(timers) > 1) co_return false;
  }
  SEMPER_CO_TRY(const auto kept, co_await transaction.get(keys.key_count()));
  co_return counter_value(kept) == 0;
}

}  // namespace semper::internal
