// A process of a test: this program in another role, or another program, with a pipe to its standard
// input (for roles, its end means "finish and exit") and pipes from its outputs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace semper::testing {

// Polls until `condition` holds; false when it did not within `limit`. The tests' only way to wait.
bool wait_until(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(30));

// A program to start. What is not said is as in this process.
struct ProgramToStart {
  std::string path;
  std::vector<std::string> arguments = {};    // without the program's name
  std::vector<std::string> environment = {};  // NAME=VALUE, besides what this process has
  // All that its standard input holds. Default: a pipe that ends with finish().
  std::optional<std::string> input = std::nullopt;
};

class ChildProcess {
 public:
  // Aborts the test program where no process can be started: nothing can be tested then.
  explicit ChildProcess(std::vector<std::string> arguments);
  // Its standard error is caught too.
  explicit ChildProcess(ProgramToStart program);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // kills it if it runs

  pid_t pid() const { return pid_; }

  // Everything that it has written to standard output so far.
  const std::string& output();
  bool has_written(const std::string& text);
  // The same of its standard error; empty where that is shared with this process.
  const std::string& errors();

  // Writes to its standard input; false where it has ended, or takes no more.
  bool tell(const std::string& text);

  void send_signal(int number);
  // SIGSTOP, and waits until it stands still: what it has done by then stays as it is until SIGCONT.
  // False: it had ended before.
  bool freeze();
  // SIGKILL, and waits for the end.
  void kill_hard();
  // Ends its input and waits until it exits: the exit code, 128 + N for signal N, -1 for neither in
  // time.
  int finish(std::chrono::milliseconds limit = std::chrono::seconds(30));
  bool is_running();

 private:
  void start(ProgramToStart program, bool catch_errors);
  void release();

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int errors_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string text_;
  std::string error_text_;
};

}  // namespace semper::testing
