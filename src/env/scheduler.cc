#include "semper/env/scheduler.h"

#include <pthread.h>

#include <stdexcept>

#include "semper/base/assert.h"
#include "semper/env/serial.h"

namespace semper {
namespace {

constinit thread_local bool may_block = false;

void assert_none_is_this_thread(const std::vector<std::thread>& threads) {
  for (const auto& thread : threads) {
    SEMPER_ASSERT(thread.get_id() != std::this_thread::get_id(),
                  "a scheduler's own thread cannot wait for the scheduler");
  }
}

}  // namespace

Status check_may_block(std::string_view what) {
  const bool runs_coroutines = asio::detail::thread_context::top_of_thread_call_stack() != nullptr;
  if (may_block || !runs_coroutines) return {};
  return fail(ErrorKind::unsupported,
              std::string(what) +
                  " makes its thread wait, and this thread runs coroutines, which would stand "
                  "still: co_await the function of the same name in namespace semper, or call "
                  "this one on a thread of your own");
}

Scheduler::Scheduler(SchedulerOptions options) {
  SEMPER_ASSERT(options.threads > 0, "a scheduler needs a thread");
  state_ = std::make_unique<State>(options.threads);
  auto& context = state_->context;
  if (options.threads == 1) declare_single_threaded(context);
  const std::string name = options.name.substr(0, 15);
  state_->threads.reserve(options.threads);
  try {
    for (std::size_t i = 0; i < options.threads; ++i) {
      state_->threads.emplace_back([&context, name, blocking = options.blocking] {
        may_block = blocking == SchedulerOptions::Blocking::is_allowed;
        pthread_setname_np(pthread_self(), name.c_str());
        context.run();
      });
    }
  } catch (...) {  // this thread could not be started; those before it were
    stop();
    for (auto& thread : state_->threads) thread.join();
    throw;
  }
}

Scheduler::~Scheduler() {
  if (state_->fork.is_foreign()) {
    static_cast<void>(state_.release());
    return;
  }
  assert_none_is_this_thread(state_->threads);
  stop();
  for (auto& thread : state_->threads) thread.join();
}

void Scheduler::stop() {
  if (state_->fork.is_foreign()) return;
  state_->work.reset();
  state_->context.stop();
}

void Scheduler::assert_outside() const {
  if (state_->fork.is_foreign()) {
    throw std::logic_error(
        "a scheduler that was made before the process forked has no threads in the child; make one "
        "there");
  }
  assert_none_is_this_thread(state_->threads);
  if (state_->context.stopped()) {
    throw std::logic_error(
        "a scheduler that was stopped runs nothing more: there is no wait for it");
  }
}

int run(Task<int> program) {
  asio::io_context context(1);
  declare_single_threaded(context);
  int exit_code = 0;
  std::exception_ptr thrown;
  asio::co_spawn(context, std::move(program), [&](std::exception_ptr error, int value) {
    thrown = error;
    exit_code = value;
    context.stop();
  });
  context.run();
  if (thrown) std::rethrow_exception(thrown);
  return exit_code;
}

}  // namespace semper
