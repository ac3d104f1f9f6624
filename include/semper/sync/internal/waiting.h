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

template <class T>
Task<void> run_into(std::shared_ptr<Waiting<T>> waiting, Async<T> operation) {
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
