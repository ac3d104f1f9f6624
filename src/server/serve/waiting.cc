#include "server/serve/waiting.h"

#include <utility>

namespace semper::internal {

Task<void> wait_for_news(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> also,
                         Duration at_most) {
  const MonotonicTime deadline = core.clock().after(at_most);
  const std::stop_callback on_stop(core.stopping.get_token(), [also]() mutable { also.set({}); });
  if (watch) {
    // The watch is left behind when something else comes first; it ends by its deadline.
    asio::co_spawn(
        core.executor,
        [](std::unique_ptr<Watch> watched, OneShot<std::monostate> news,
           MonotonicTime until) -> Task<void> {
          static_cast<void>(co_await watched->changed(until));
          news.set({});
        }(std::move(watch), also, deadline),
        asio::detached);
  }
  static_cast<void>(co_await also.wait_until(core.clock(), deadline));
}

}  // namespace semper::internal
