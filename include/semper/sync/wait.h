// wait: makes a plain thread wait for an asynchronous operation, no longer than its time.
//
// What for: the door between threads and coroutines that everything in semper::sync goes through; and
// for operations that have no blocking form here. When not: in a coroutine (co_await it), and in a
// simulation (it waits in real time).
//
//   semper::Store store = ...;
//   semper::Result<bool> there = semper::sync::wait(semper::inspect::exists(store, id), 2s);
//
// The operation runs on a scheduler of this face's own, one for the process, with one thread
// (`semper-sync`), which is started by the first call and never joined. Whatever it uses must live
// until it has ended, and that may be after wait() has returned for want of time: give it copies.
//
// Forked children get a scheduler of their own. What the parent opened is `unsupported` there.
//
// Threads: any that runs no coroutines. On one that does (a Scheduler's, an io_context's, so also in
// a callback of a durable server) every function here returns `unsupported` at once, because what it
// waits for might need that very thread. Exceptions are handle_locked, in a host with threads of its
// own, and Journal's perform: they may block, and may call everything here.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/sync/internal/waiting.h"

namespace semper::sync {

// What it means that an operation has not ended in time.
enum class Late : std::uint8_t {
  // `timeout`: it only looks.
  had_no_effect,
  // `outcome_unknown`: it was cancelled, and may or may not take effect.
  may_have_effect,
};

// Returns what the operation returns, throws what it throws. Errors besides: unsupported (this thread
// runs coroutines: nothing was begun), exhausted (no thread can be started), and what `late` says.
template <class T>
Result<T> wait(Async<T> operation, Duration timeout = kForever, Late late = Late::may_have_effect) {
  SEMPER_TRY(const Executor executor, internal::background("semper::sync"));
  const MonotonicTime deadline = system_clock().after(timeout);
  auto waiting = std::make_shared<internal::Waiting<T>>();
  asio::co_spawn(executor, internal::run_into(waiting, std::move(operation)),
                 asio::bind_cancellation_slot(waiting->cancel.slot(), asio::detached));
  std::unique_lock lock(waiting->mutex);
  const auto has_ended = [&] { return waiting->result.has_value() || waiting->thrown; };
  if (deadline == kNever) {
    waiting->changed.wait(lock, has_ended);
  } else if (!waiting->changed.wait_until(lock, deadline, has_ended)) {
    lock.unlock();
    // On the one thread that runs it, because Asio's signals are not thread-safe.
    asio::post(executor, [waiting] { waiting->cancel.emit(asio::cancellation_type::terminal); });
    return fail(internal::late_error(late, timeout));
  }
  if (waiting->thrown) std::rethrow_exception(waiting->thrown);
  return std::move(*waiting->result);
}

// For operations with a deadline of their own, which is `timeout`: they get this much more to say what
// became of them.
inline constexpr Duration kAnswerTime = std::chrono::seconds(10);
constexpr Duration with_answer_time(Duration timeout) {
  return timeout >= kForever - kAnswerTime ? kForever : timeout + kAnswerTime;
}

}  // namespace semper::sync
