// Interrupt: Ctrl-C, SIGTERM and a closed terminal (SIGHUP) as a request to end.
//
// main() makes one before anything else, so that a signal is never answered by chance: it waits
// until the command has said what becomes of it. A command that ends in order when asked to (it
// leaves work that can be gone on with, or a summary) has the stop token; any other ends at once,
// as by the signal. The second signal always ends the process. A signal that was ignored when the
// process was started (nohup, a shell's background job) stays ignored. See
// semper/env/termination.h.
#pragma once

#include <cstdint>
#include <mutex>

#include "semper/base/stop.h"
#include "semper/env/clock.h"
#include "semper/env/scheduler.h"

namespace semper::cli {

// What the first signal does.
enum class OnSignal : std::uint8_t { ends_process, requests_stop };

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();  // the signals do again what they do by default
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // From now on, and for a signal that came before. Until this is called signals wait.
  void decide(OnSignal on_signal);

  StopToken token() const { return source_.get_token(); }
  bool requested() const { return source_.stop_requested(); }

  // False: the stop was requested before the time had come.
  Task<bool> sleep_until(Clock& clock, MonotonicTime when) const;

 private:
  enum class Decision : std::uint8_t { open, ends_process, requests_stop };

  Task<void> watch(Async<int> signal);
  void act();  // with mutex_ held

  StopSource source_;
  std::mutex mutex_;
  Decision decision_ = Decision::open;
  int signal_ = 0;                                  // the one that came; 0: none
  Scheduler scheduler_{{.name = "semper-signal"}};  // last: its thread ends first
};

}  // namespace semper::cli
