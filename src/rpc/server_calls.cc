#include "rpc/server_calls.h"

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/internal/loop_state.h"

namespace semper::rpc {
namespace {

// Between two looks whether the executor was stopped.
constexpr auto kLook = std::chrono::milliseconds(50);

}  // namespace

CallPlace::~CallPlace() {
  if (running_ != nullptr) --*running_;
  calls_->end();
}

void CallPlace::begin(const std::string& method) {
  const auto found = calls_->running.find(method);
  if (found == calls_->running.end()) return;  // a health check
  running_ = &found->second;
  ++*running_;
}

void ServerCalls::end() {
  if (--calls_ > 0) return;
  std::lock_guard lock(mutex_);
  none_left_.notify_all();
}

std::string ServerCalls::why_they_can_not_end() const {
  if (semper::internal::is_run_by_this_thread(executor)) {
    return "shutdown() was called on the server's own executor";
  }
  if (!semper::internal::is_stopped(executor)) return "";
  return "the server's executor was stopped before shutdown()";
}

std::string ServerCalls::who_runs() const {
  std::string all;
  for (const auto& [method, count] : running) {
    if (count == 0) continue;
    all += (all.empty() ? "" : ", ") + method + " (" + std::to_string(count) + ")";
  }
  return all;
}

void ServerCalls::wait_for_handlers() {
  const auto began = system_clock().now();
  bool said = false;
  std::unique_lock lock(mutex_);
  if (SEMPER_MUTANT("rpc_shutdown_leaves_handlers_at_work")) return;
  while (calls_ > 0) {
    none_left_.wait_for(lock, kLook);
    if (calls_ == 0) return;
    if (const auto why = why_they_can_not_end(); !why.empty()) {
      log_warning("rpc",
                  why + ": handlers of " + who_runs() + " were cancelled and are not awaited");
      return;
    }
    if (said || system_clock().now() - began < kShutdownPatience) continue;
    said = true;
    log_warning("rpc",
                "shutdown() waits for handlers that were cancelled and go on: " + who_runs());
  }
}

}  // namespace semper::rpc
