// Commands about timers: timers, timer cancel, pause, resume and trigger. They need no host and no
// C++ type.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct TimersArguments {
  std::string of;           // a type, or TYPE/ID
  std::string within;       // a span; empty: all
  std::size_t limit = 100;  // 0: all
};
Async<void> show_timers(Invocation& invocation, TimersArguments arguments);

struct TimerArguments {
  std::string entity;
  std::string name;
};
// Changes the store.
Async<void> cancel_one_timer(Invocation& invocation, TimerArguments arguments);
Async<void> pause_one_timer(Invocation& invocation, TimerArguments arguments);
Async<void> resume_one_timer(Invocation& invocation, TimerArguments arguments);
Async<void> trigger_one_timer(Invocation& invocation, TimerArguments arguments);

}  // namespace semper::cli
