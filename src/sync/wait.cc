#include "semper/sync/wait.h"

#include <atomic>
#include <cstdio>
#include <system_error>

#include "semper/env/fork.h"
#include "semper/env/internal/tagged_executor.h"
#include "semper/env/scheduler.h"

namespace semper::sync::internal {
namespace {

// Never destroyed: others may still wait while the process ends, and a child cannot join its
// parent's thread.
struct Background {
  const ForkGuard fork{};
  // One thread, so that a cancellation can be emitted where the operation runs.
  Scheduler scheduler{{.threads = 1, .name = "semper-sync"}};
};

constinit std::atomic<Background*> current{nullptr};

// A callback that may block, handle_locked, goes on in what it waits for here.
Executor on_account_of_this_thread(const Executor& executor) {
  auto tag = semper::internal::tag_in_this_thread();
  return tag ? semper::internal::with_tag(executor, std::move(tag)) : executor;
}

}  // namespace

Result<Executor> background(const char* what) {
  SEMPER_TRY_STATUS(check_may_block(what));
  Background* found = current;
  if (found != nullptr && !found->fork.is_foreign()) {
    return on_account_of_this_thread(found->scheduler.executor());
  }
  try {
    auto made = std::make_unique<Background>();
    if (current.compare_exchange_strong(found, made.get())) {
      return on_account_of_this_thread(made.release()->scheduler.executor());
    }
  } catch (const std::system_error& caught) {
    return fail(ErrorKind::exhausted,
                std::string("semper::sync cannot start its thread: ") + caught.what());
  }
  return on_account_of_this_thread(found->scheduler.executor());
}

std::string describe(Duration span) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", std::chrono::duration<double>(span).count());
  return text;
}

Error late_error(Late late, Duration timeout) {
  const std::string time = describe(timeout);
  if (late == Late::had_no_effect) {
    return Error(ErrorKind::timeout, "no answer within " + time + "; it was given up");
  }
  return Error(ErrorKind::outcome_unknown,
               "no answer within " + time +
                   "; it was cancelled and may or may not take effect: look before you repeat it");
}

Error destroyed_error(Late late) {
  const std::string what = "the loop of something that the operation waited for was destroyed";
  if (late == Late::had_no_effect) return Error(ErrorKind::timeout, what + "; it was given up");
  return Error(ErrorKind::outcome_unknown,
               what + "; it may or may not have taken effect: look before you repeat it");
}

}  // namespace semper::sync::internal
