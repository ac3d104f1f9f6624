// A process of the crash tests: this program in another role, with a pipe to its standard input
// (its end means "finish and exit") and one from its standard output.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace semper::testing {

// Polls until `condition` holds; false when it did not within `limit`. The tests' only way to wait.
bool wait_until(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(30));

class ChildProcess {
 public:
  // Aborts the test program where no process can be started: nothing can be tested then.
  explicit ChildProcess(std::vector<std::string> arguments);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // kills it if it runs

  pid_t pid() const { return pid_; }

  // Everything that it has written to standard output so far.
  const std::string& output();
  bool has_written(const std::string& text);

  void send_signal(int number);
  // SIGKILL, and waits for the end.
  void kill_hard();
  // Ends its input and waits until it exits: the exit code, 128 + N for signal N, -1 for neither in
  // time.
  int finish(std::chrono::milliseconds limit = std::chrono::seconds(30));
  bool is_running();

 private:
  void release();

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string text_;
};

}  // namespace semper::testing
