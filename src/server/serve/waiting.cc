#include "server/serve/waiting.h"

#include <optional>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/serial.h"

namespace semper::internal {
namespace {

Task<void> watch_until(std::shared_ptr<Watch> watch, MonotonicTime until,
                       std::function<void()> told) {
  try {
    co_await asio::this_coro::throw_if_cancelled(false);
    const Status changed = co_await watch->changed(until);
    if (!changed && changed.error().kind() == ErrorKind::cancelled) co_return;
  } catch (...) {  // cancelled before it began
    co_return;
  }
  told();
}

}  // namespace

std::shared_ptr<Cancellable> watch_beside(const Executor& executor, std::shared_ptr<Watch> watch,
                                          MonotonicTime until, std::function<void()> told) {
  auto task = std::make_shared<Cancellable>();
  Cancellable::start(task, serial_executor(executor),
                     watch_until(std::move(watch), until, std::move(told)));
  if (SEMPER_MUTANT("server_watch_left_behind")) return std::make_shared<Cancellable>();
  return task;
}

Task<void> wait_for_news(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> also,
                         Duration at_most) {
  const MonotonicTime deadline = core.clock().after(at_most);
  const StopCallback on_stop(core.stopping.get_token(), [also]() mutable { also.set({}); });
  std::optional<CancelOnExit> ends_with_this;
  if (watch) {
    ends_with_this.emplace(watch_beside(core.executor, std::move(watch), deadline,
                                        [also]() mutable { also.set({}); }));
  }
  static_cast<void>(co_await also.wait_until(core.clock(), deadline));
}

}  // namespace semper::internal
