// start_thread: a thread that may not be had.
//
// What for: every thread of a handle. Where the machine has none left, an open, a watch or a backup
// is refused, and nothing counts on the thread.
#pragma once

#include <pthread.h>

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "semper/base/result.h"

namespace semper::sqlite {

// `name` has up to 15 characters. Error: exhausted; then `thread` is as it was.
template <class Run>
Status start_thread(std::thread& thread, const char* name, Run run) {
  try {
    thread = std::thread([name, run = std::move(run)]() mutable {
      pthread_setname_np(pthread_self(), name);
      run();
    });
  } catch (const std::system_error& error) {
    return fail(
        ErrorKind::exhausted,
        std::string("the system gives no thread (") + error.what() +
            "); end processes that hold many, or raise the limit (ulimit -u, pids.max of the "
            "cgroup), and try again");
  }
  return {};
}

}  // namespace semper::sqlite
