// sleep_until and sleep_for of clock.h: to sleep is to wait for what never comes. Apart from the
// clocks, which know nothing of coroutines.
#include <variant>

#include "semper/env/clock.h"
#include "semper/env/one_shot.h"

namespace semper {

Async<void> sleep_until(Clock& clock, MonotonicTime when) {
  OneShot<std::monostate> never;
  auto waited = co_await never.wait_until(clock, when);
  if (waited || waited.error().kind() == ErrorKind::timeout) co_return Status{};
  co_return fail(waited.error());
}

Async<void> sleep_for(Clock& clock, Duration span) {
  co_return co_await sleep_until(clock, clock.after(span));
}

}  // namespace semper
