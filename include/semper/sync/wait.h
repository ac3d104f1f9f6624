// wait: blocks a plain thread until an asynchronous operation ends, or a time has passed.
//
// What for: operations that have no blocking form here. Everything in semper::sync uses it to get
// from threads to coroutines. When not: in a coroutine (co_await the operation), and in a
// simulation (it waits in real time).
//
//   semper::Result<semper::EntityView> view = semper::sync::wait(semper::inspect(store, id), 2s);
//
// The operation runs on semper::sync's own scheduler, one per process, with one thread
// (`semper-sync`), which the first call starts and which is never joined. Everything that the
// operation uses must live until it has ended, which may be after wait() has timed out: give it
// copies.
//
// A forked child gets its own scheduler. Objects that the parent opened return `unsupported` there.
//
// Threads: any thread that runs no coroutines. On a thread that does (a Scheduler's or an
// io_context's, and so in a callback of a durable server) every function here returns `unsupported`
// at once, because the operation might need that very thread. The exceptions are handle_locked, in
// a host with its own threads, and Journal's perform: they may block, and may call everything here.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/sync/internal/waiting.h"

namespace semper::sync {

// What it means if an operation has not ended in time.
enum class Late : std::uint8_t {
  // `timeout`: it only reads.
  had_no_effect,
  // `outcome_unknown`: it was cancelled, and may or may not take effect.
  may_have_effect,
};

// Returns what the operation returns, and throws what it throws. Additional errors: unsupported
// (this thread runs coroutines: nothing was begun), exhausted (no thread can be started), and the
// error that `late` selects, also where the operation was destroyed with the loop of something that
// it waited for.
template <class T>
Result<T> wait(Async<T> operation, Duration timeout = kForever, Late late = Late::may_have_effect) {
  SEMPER_TRY(const Executor executor, internal::background("semper::sync"));
  const MonotonicTime deadline = system_clock().after(timeout);
  auto waiting = std::make_shared<internal::Waiting<T>>();
  auto end = std::make_unique<internal::WaitingEnd<T>>(waiting, late);
  asio::co_spawn(executor, internal::run_into(std::move(end), std::move(operation)),
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

// Operations whose own deadline is `timeout` get this much more time to report their outcome.
inline constexpr Duration kAnswerTime = std::chrono::seconds(10);
constexpr Duration with_answer_time(Duration timeout) {
  return timeout >= kForever - kAnswerTime ? kForever : timeout + kAnswerTime;
}

}  // namespace semper::sync
