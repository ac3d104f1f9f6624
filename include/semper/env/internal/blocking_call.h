// What run_blocking is made of: the threads, and the wait for a call that has begun.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>

#include "semper/base/internal/thrown.h"
#include "semper/base/result.h"
#include "semper/env/fork.h"

namespace semper::internal {

// Hands it to a thread. It must not throw. Error: exhausted.
Status start_blocking(std::function<void()> work);

// Its destructor waits until what was begun has ended; not in a forked child, which has none of its
// threads.
class BlockingCall {
 public:
  struct Progress {
    std::mutex mutex;
    std::condition_variable changed;
    bool runs = false;
  };

  BlockingCall() = default;
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;
  ~BlockingCall();

  std::shared_ptr<Progress> begin();
  static void end(Progress& progress);

 private:
  const ForkGuard fork_{};
  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
};

template <class R>
struct BlockingReturns {
  using Type = Result<R>;
};
template <class T>
struct BlockingReturns<Result<T>> {
  using Type = Result<T>;
};

template <class R, class F>
R call_blocking(F& f) noexcept {
  std::string thrown;
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      f();
      return R();
    } else {
      return f();
    }
  } catch (const std::exception& caught) {
    thrown = internal::text_of(caught);
  } catch (...) {
    thrown = "something that is no std::exception";
  }
  return fail(ErrorKind::internal, "a function that blocks threw: " + thrown);
}

}  // namespace semper::internal
