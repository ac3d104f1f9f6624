// Child processes: this same program in another role, with a pipe to and from it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "semper/base/result.h"

namespace packages {

// A running child. It gets a pipe as its standard input, whose end tells it that we are gone or
// want it to stop, and another as its standard output, for lines to us; standard error is shared.
// It is in a process group of its own, so that Ctrl-C reaches us alone. The destructor kills what
// still runs.
class Child {
 public:
  // `arguments[0]` is the program: a path, or a name to look for in PATH.
  static semper::Result<Child> start(std::vector<std::string> arguments);

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  int output() const { return output_; }  // to poll; stays ours

  // A line it wrote, without its end; nothing when there is no whole line yet. Does not wait.
  std::optional<std::string> next_line();
  // The same, waiting for at most this long.
  std::optional<std::string> wait_line(int timeout_ms);

  void write_line(std::string_view line);
  // Ends its standard input: it finishes and exits.
  void close_input();
  void kill_hard();  // SIGKILL

  // How it ended, in words ("exit code 1", "signal 9 (Killed)"; empty for exit code 0); nothing
  // while it runs.
  std::optional<std::string> ended();
  std::optional<std::string> wait_end(int timeout_ms);

 private:
  Child() = default;
  bool read_available();
  void release();

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string pending_;
  std::optional<std::string> end_;
};

// Runs a program to its end and returns what it wrote. Errors: not_found (no such program), io (it
// failed; the message has its exit code).
semper::Result<std::string> output_of(std::vector<std::string> arguments);

// Reports SIGINT and SIGTERM as readable bytes instead of ending the process. Make it before any
// thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int descriptor() const { return descriptor_; }
  // The signal that came, if one did.
  std::optional<int> received();

 private:
  int descriptor_;
  std::optional<int> received_;
};

// Waits until one of the descriptors is readable or the time is over.
void wait_readable(std::vector<int> descriptors, int timeout_ms);

}  // namespace packages
