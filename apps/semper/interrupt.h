// Interrupt: Ctrl-C and SIGTERM as a request to end, for commands that run until told otherwise.
#pragma once

#include <stop_token>
#include <thread>

#include "semper/env/clock.h"

namespace semper::cli {

// While it lives, the first SIGINT or SIGTERM requests a stop instead of ending the process; the
// second one ends it. One at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  bool requested() const { return source_.stop_requested(); }

  // False: the stop was requested before the time had come.
  Task<bool> sleep_until(Clock& clock, MonotonicTime when);

 private:
  std::stop_source source_;
  std::thread waiting_;
};

}  // namespace semper::cli
