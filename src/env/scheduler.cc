#include "semper/env/scheduler.h"

#include <pthread.h>

#include "semper/base/assert.h"
#include "semper/env/serial.h"

namespace semper {

Scheduler::Scheduler(SchedulerOptions options)
    : context_(static_cast<int>(options.threads)), work_(context_.get_executor()) {
  SEMPER_ASSERT(options.threads > 0, "a scheduler needs a thread");
  if (options.threads == 1) declare_single_threaded(context_);
  const std::string name = options.name.substr(0, 15);
  for (std::size_t i = 0; i < options.threads; ++i) {
    threads_.emplace_back([this, name] {
      pthread_setname_np(pthread_self(), name.c_str());
      context_.run();
    });
  }
}

Scheduler::~Scheduler() {
  assert_outside();
  stop();
  for (auto& thread : threads_) thread.join();
}

void Scheduler::stop() {
  work_.reset();
  context_.stop();
}

void Scheduler::assert_outside() const {
  for (const auto& thread : threads_) {
    SEMPER_ASSERT(thread.get_id() != std::this_thread::get_id(),
                  "a scheduler's own thread can not wait for the scheduler");
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
