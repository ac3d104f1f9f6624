#include "semper/env/internal/loop_state.h"

namespace semper::internal {
namespace {

// What runs an io_context or a thread_pool; null: the context has none.
asio::detail::scheduler* scheduler_of(const Executor& executor) {
  auto& context = asio::query(executor, asio::execution::context_as<asio::execution_context&>);
  if (!asio::has_service<asio::detail::scheduler>(context)) return nullptr;
  return &asio::use_service<asio::detail::scheduler>(context);
}

}  // namespace

bool is_stopped(const Executor& executor) {
  const auto* const scheduler = scheduler_of(executor);
  return scheduler != nullptr && scheduler->stopped();
}

bool is_run_by_this_thread(const Executor& executor) {
  auto* const scheduler = scheduler_of(executor);
  return scheduler != nullptr && scheduler->can_dispatch();
}

}  // namespace semper::internal
