// start_quiet_thread: a thread that takes none of the process's signals, and that may not be had.
//
// What for: threads that a program does not know of, such as those that write spans. When not: one
// that has to hear a signal.
#pragma once

#include <pthread.h>

#include <csignal>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "semper/base/result.h"

namespace semper::internal {

// `name` has up to 15 characters; `purpose` ends the sentence of the error. Error: exhausted; then
// `thread` is as it was.
template <class Run>
Status start_quiet_thread(std::thread& thread, const char* name, const char* purpose, Run run) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Status started;
  try {
    thread = std::thread([name, run = std::move(run)]() mutable {
      ::pthread_setname_np(::pthread_self(), name);
      run();
    });
  } catch (const std::system_error&) {
    started = fail(ErrorKind::exhausted, std::string("the system gives no thread ") + purpose);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace semper::internal
