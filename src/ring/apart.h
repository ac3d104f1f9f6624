// run_in_turn: the work of a call, one after another, on no loop of its caller's.
//
// What for: whatever reads or writes the device while others wait for it to end. A caller's loop
// may be destroyed, or be run no more, while a read is under way; what holds a turn must go on all
// the same. So the work runs on the thread that brings the news, mostly the device's
// (DirectExecutor), and the caller waits for its end. When not: code of the user's, and waits that
// last.
//
//   const std::function<Async<void>()> work = [core, position] { return core->advance(position); };
//   co_return co_await run_in_turn<void>(core->desk(), core->clock(), work);
//
// `work` owns what it uses, for it may outlive the call. Where the caller is cancelled before the
// work has begun, it does not begin any more (`cancelled`). Once it has begun, the call ends with
// it, or is cancelled and leaves it to itself: see OnCancel.
// Threads: any.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "ring/turn.h"
#include "semper/base/internal/thrown.h"
#include "semper/env/asio.h"
#include "semper/env/cancellation.h"
#include "semper/env/direct_executor.h"
#include "semper/env/one_shot.h"

namespace semper::ring::internal {

// Whether work that waits for its turn is still wanted.
class Wanted {
 public:
  // Of the work: false where nobody wants it any more.
  bool begin() {
    std::lock_guard lock(mutex_);
    begun_ = begun_ || !dropped_;
    return begun_;
  }
  // Of the caller: false where it has begun.
  bool drop() {
    std::lock_guard lock(mutex_);
    dropped_ = dropped_ || !begun_;
    return dropped_;
  }

 private:
  std::mutex mutex_;
  bool begun_ = false;
  bool dropped_ = false;
};

// What it throws is an error: the thread that it runs on is not the caller's.
template <class T>
Async<T> contained(const std::function<Async<T>()>& work) {
  try {
    co_return co_await work();
  } catch (const std::exception& thrown) {
    co_return fail(ErrorKind::internal, semper::internal::text_of(thrown));
  } catch (...) {
    co_return fail(ErrorKind::internal, "what was thrown is no exception");
  }
}

template <class T>
Task<void> work_in_turn(Turn& turn, Clock& clock, std::shared_ptr<Wanted> wanted,
                        std::function<Async<T>()> work, OneShot<Result<T>> done) {
  Result<T> result = fail(ErrorKind::cancelled, "the operation was cancelled");
  {
    const auto holder = co_await turn.take(clock);
    if (!holder) {
      result = fail(holder.error());
    } else if (wanted->begin()) {
      result = co_await contained(work);
    }
  }
  work = nullptr;  // before the caller goes on, who may end what it belongs to
  done.set(std::move(result));
}

// What becomes of a call that is cancelled when its work has begun. Where its deadline passes, it
// ends with `timeout`, and the work goes on: the device may never answer.
enum class OnCancel : std::uint8_t {
  stay,  // it says what became of it: an operation of the device, which ends soon
  leave  // `cancelled`, and the work goes on
};

// How long a device may take to answer, however near the deadline is: a call whose deadline has
// passed looks once all the same.
inline constexpr Duration kLeastPatience = std::chrono::seconds(1);
inline MonotonicTime patient(Clock& clock, MonotonicTime deadline) {
  return deadline == kNever ? kNever : std::max(deadline, clock.after(kLeastPatience));
}

template <class T>
Async<T> wait_for_work(std::shared_ptr<Wanted> wanted, OneShot<Result<T>> done, OnCancel on_cancel,
                       Clock& clock, MonotonicTime deadline) {
  // However the call ends, also where its coroutine is destroyed.
  struct Drop {
    std::shared_ptr<Wanted> wanted;
    ~Drop() { wanted->drop(); }
  } const drop{wanted};
  auto came = co_await done.wait_until(clock, deadline);
  const bool is_late = !came && came.error().kind() == ErrorKind::timeout;
  if (!came && !wanted->drop() && on_cancel == OnCancel::stay && !is_late) {
    came = co_await done.wait_regardless();
  }
  if (!came) co_return fail(came.error());
  co_return std::move(*came);
}

// A turn whose holders work on an executor of its own.
struct WorkDesk {
  explicit WorkDesk(std::size_t max_waiting) : turn(max_waiting) {}
  Turn turn;
  // One for all who wait: the next one does not begin on top of who has just ended.
  DirectExecutor executor;
};

// `work` keeps the desk and the clock.
template <class T>
Async<T> run_in_turn(WorkDesk& desk, Clock& clock, std::function<Async<T>()> work,
                     OnCancel on_cancel = OnCancel::stay, MonotonicTime deadline = kNever) {
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  const auto wanted = std::make_shared<Wanted>();
  OneShot<Result<T>> done;
  const std::function<Task<void>()> make = [&desk, &clock, wanted, work, done] {
    return work_in_turn<T>(desk.turn, clock, wanted, work, done);
  };
  desk.executor.start(make);
  co_return co_await wait_for_work<T>(wanted, done, on_cancel, clock, deadline);
}

}  // namespace semper::ring::internal
