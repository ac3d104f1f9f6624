#include "server/format/cancelled_casts.h"

#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

Async<void> forget_key(const TimerSpec& timer, KeyBook& keys, KeyBook::Place place,
                       const EntityId& id, KeyBook::Loaded loaded) {
  const KeyAddress address{id, timer.message.name, timer.key->text};
  SEMPER_CO_TRY_STATUS(co_await keys.look(place, address, loaded));
  const ReplyToken nobody;
  if (!keys.stands_for(address, *timer.key, nobody)) co_return Status{};
  if (SEMPER_MUTANT("server_cancelled_cast_keeps_its_key")) co_return Status{};
  static_cast<void>(keys.forget(address));  // casts have no callers
  co_return Status{};
}

}  // namespace

Async<void> forget_cancelled(TimerBook& timers, KeyBook& keys, KeyBook::Place place,
                             const EntityId& id) {
  for (const TimerSpec& timer : timers.take_cancelled()) {
    SEMPER_CO_TRY_STATUS(co_await forget_key(timer, keys, place, id, KeyBook::Loaded::yes));
  }
  co_return Status{};
}

Async<void> forget_cancelled(TimerBook& timers, KeyBook::Place place, const EntityId& id) {
  KeyBook keys;
  SEMPER_CO_TRY_STATUS(co_await forget_cancelled(timers, keys, place, id));
  keys.settle(place.transaction, place.tenant_prefix);
  co_return Status{};
}

Async<void> forget_cancelled(const TimerSpec& timer, KeyBook::Place place, const EntityId& id) {
  KeyBook keys;
  SEMPER_CO_TRY_STATUS(co_await forget_key(timer, keys, place, id, KeyBook::Loaded::no));
  keys.settle(place.transaction, place.tenant_prefix);
  co_return Status{};
}

}  // namespace semper::internal
