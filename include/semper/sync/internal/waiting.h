// What sync::wait and the operation that it waits for share.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "semper/env/asio.h"
#include "semper/env/clock.h"

namespace semper::sync {

enum class Late : std::uint8_t;

namespace internal {

// Of this process; started where it is not. Error: exhausted (no thread), unsupported
// (check_may_block).
Result<Executor> background(const char* what);

Error late_error(Late late, Duration timeout);
Error destroyed_error(Late late);
std::string describe(Duration span);

// What the caller and the operation share; the last of the two takes it away.
template <class T>
struct Waiting {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<T>> result;
  std::exception_ptr thrown;
  asio::cancellation_signal cancel;
};

// Answers for an operation whose coroutine is destroyed before it ends. The frame's from its
// beginning.
template <class T>
struct WaitingEnd {
  WaitingEnd(std::shared_ptr<Waiting<T>> of, Late if_destroyed)
      : waiting(std::move(of)), late(if_destroyed) {}
  WaitingEnd(const WaitingEnd&) = delete;
  WaitingEnd& operator=(const WaitingEnd&) = delete;
  ~WaitingEnd() {
    std::lock_guard lock(waiting->mutex);
    if (waiting->result || waiting->thrown) return;
    waiting->result.emplace(fail(destroyed_error(late)));
    waiting->changed.notify_all();
  }
  const std::shared_ptr<Waiting<T>> waiting;
  const Late late;
};

template <class T>
Task<void> run_into(std::unique_ptr<WaitingEnd<T>> end, Async<T> operation) {
  const auto waiting = end->waiting;
  std::optional<Result<T>> result;
  std::exception_ptr thrown;
  try {
    result.emplace(co_await std::move(operation));
  } catch (...) {
    thrown = std::current_exception();
  }
  std::lock_guard lock(waiting->mutex);
  waiting->result = std::move(result);
  waiting->thrown = std::move(thrown);
  waiting->changed.notify_all();
}

}  // namespace internal
}  // namespace semper::sync
