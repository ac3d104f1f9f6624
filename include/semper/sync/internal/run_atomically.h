// How sync::atomically (sync/atomically.h) runs its function on the calling thread. `Tx`: an
// Atomic.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/server/internal/atomic_run.h"
#include "semper/sync/wait.h"

namespace semper::sync::internal {

// Coroutines with shares of their own: they may outlast the call where nobody waits any more.
using SharedRun = std::shared_ptr<semper::internal::AtomicRun>;
inline Async<void> begin_of(SharedRun run) {
  co_return co_await run->begin();
}
inline Async<bool> finish_of(SharedRun run, Status ended) {
  co_return co_await run->finish(std::move(ended));
}
inline Async<void> give_up_of(SharedRun run) {
  co_await run->give_up();
  co_return Status{};
}

template <class Tx, class R, class Call>
R run_atomically(SharedRun run, Duration timeout, Call call) {
  const Duration patience = with_answer_time(timeout);
  while (true) {
    SEMPER_TRY_STATUS(wait(run_through(begin_of(run)), patience, Late::had_no_effect));
    std::optional<R> result;
    try {
      Tx atomic(*run);
      result.emplace(call(atomic, run->states()));
    } catch (...) {
      static_cast<void>(wait(run_through(give_up_of(run)), patience));
      throw;
    }
    Status ended;
    if (!*result) ended = fail(result->error());
    SEMPER_TRY(const bool is_done, wait(run_through(finish_of(run, std::move(ended))), patience));
    if (is_done) return std::move(*result);
  }
}

}  // namespace semper::sync::internal
