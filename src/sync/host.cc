#include "semper/sync/host.h"

#include "semper/env/fork.h"
#include "semper/env/scheduler.h"
#include "semper/sync/wait.h"

namespace semper::sync {

struct Termination::State {
  const ForkGuard fork{};
  Executor executor;
  internal::Waiting<int> waiting;
};

Termination::Termination(Hangup hangup) : state_(std::make_shared<State>()) {
  auto signal = semper::termination(hangup);
  auto executor = internal::background("semper::sync::Termination");
  if (!executor) {
    state_->waiting.result = fail(executor.error());
    return;
  }
  state_->executor = *executor;
  const std::shared_ptr<internal::Waiting<int>> waiting(state_, &state_->waiting);
  auto end = std::make_unique<internal::WaitingEnd<int>>(waiting, Late::had_no_effect);
  asio::co_spawn(*executor, internal::run_into(std::move(end), std::move(signal)),
                 asio::bind_cancellation_slot(waiting->cancel.slot(), asio::detached));
}

Termination::~Termination() {
  if (!state_->executor || state_->fork.is_foreign()) return;
  asio::post(state_->executor,
             [state = state_] { state->waiting.cancel.emit(asio::cancellation_type::terminal); });
}

Result<int> Termination::wait(Duration timeout) const {
  SEMPER_TRY_STATUS(check_may_block("semper::sync::Termination::wait"));
  SEMPER_TRY_STATUS(state_->fork.check("this wait for the end"));
  auto& waiting = state_->waiting;
  const MonotonicTime deadline = system_clock().after(timeout);
  std::unique_lock lock(waiting.mutex);
  const auto has_come = [&] { return waiting.result.has_value(); };
  if (deadline == kNever) {
    waiting.changed.wait(lock, has_come);
  } else if (!waiting.changed.wait_until(lock, deadline, has_come)) {
    return fail(ErrorKind::timeout,
                "no SIGINT or SIGTERM came within " + internal::describe(timeout));
  }
  return *waiting.result;
}

}  // namespace semper::sync
