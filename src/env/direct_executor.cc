#include "semper/env/direct_executor.h"

#include <typeinfo>

#include "semper/env/internal/tagged_executor.h"

namespace semper {
namespace {

// Keeps what a coroutine was made by, for a closure's captures are in it.
Task<void> keep(std::function<Task<void>()> make) {
  co_await make();
}

}  // namespace

void DirectExecutor::run(std::function<void()> handler) const {
  const auto queue = queue_;
  std::unique_lock lock(queue->mutex);
  queue->waiting.push_back(std::move(handler));
  if (queue->runs) return;
  queue->runs = true;
  while (!queue->waiting.empty()) {
    auto next = std::move(queue->waiting.front());
    queue->waiting.pop_front();
    lock.unlock();
    try {
      next();
    } catch (...) {
      lock.lock();
      queue->runs = false;
      throw;
    }
    next = nullptr;
    lock.lock();
  }
  queue->runs = false;
}

void DirectExecutor::start(std::function<Task<void>()> make) const {
  // From inside, so that what Asio posts while it starts the coroutine comes after that.
  run([executor = *this, make = std::move(make)] {
    asio::co_spawn(Executor(executor), keep(make), asio::detached);
  });
}

asio::execution_context& DirectExecutor::query(asio::execution::context_t) const noexcept {
  // Of all of them, for ever.
  static auto* const context = new asio::execution_context();
  return *context;
}

// Made when the program is loaded: while a thread makes it, another one may fork.
[[maybe_unused]] static const asio::execution_context& direct_executor_made_at_start =
    DirectExecutor().query(asio::execution::context);

bool is_direct(const Executor& executor) noexcept {
  return internal::without_tag(executor).target_type() == typeid(DirectExecutor);
}

}  // namespace semper
