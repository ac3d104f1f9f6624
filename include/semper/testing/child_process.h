// A process in a test: another program, or this one again in a different role.
//
// What for: interactions between processes, real servers, SIGKILL. When not: tests that need only
// one process; a simulated store, disk and clock are faster, and repeatable.
//
//   SEMPER_CHILD(keeps_the_lock) {                        // a test that only a child runs
//     take_lock(child_argument());
//     say("taken");
//     hear();                                             // until the parent speaks, or ends
//   }
//
//   ChildProcess child("keeps_the_lock", path);           // in the parent's test
//   ASSERT_EQ(child.read_line(), "taken");
//   child.kill_hard();
//
// A process that is still alive when its ChildProcess is destroyed is killed. If no process can be
// started, the test program aborts, because nothing can be tested then. Threads: a value, used by
// one thread at a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace semper::testing {

// Polls until `condition` holds; false if it does not within `limit`. The tests' only way to wait.
bool wait_until(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(30));

// A program to start. Defaults are as in this process.
struct ProgramToStart {
  std::string path = "/proc/self/exe";        // this program
  std::vector<std::string> arguments = {};    // without the program's name
  std::vector<std::string> environment = {};  // NAME=VALUE, in addition to this process's
  // The whole of its standard input. Default: a pipe that finish() closes.
  std::optional<std::string> input = std::nullopt;
  // The file to which both outputs are appended; may be "/dev/null". Default: they are captured.
  std::string log = {};
  // If root starts it: the user as which it runs, for servers that refuse to run as root.
  std::string as_user = {};
  // Killed when this process ends, in whatever way: for servers, which would not notice otherwise.
  bool ends_with_parent = false;
};

class ChildProcess {
 public:
  // Its standard output and error are captured.
  explicit ChildProcess(ProgramToStart program);
  // This program with these arguments. Its standard error is this process's.
  explicit ChildProcess(std::vector<std::string> arguments);
  // This program in a role, SEMPER_CHILD(role). It shares the standard streams of this process;
  // output() and read_line() return what it passed to say().
  ChildProcess(const std::string& role, const std::string& argument);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // Everything that it has written to standard output so far, whether or not read_line() has
  // returned it.
  const std::string& output();
  bool has_written(const std::string& text);
  // The same for its standard error; empty if that is shared with this process.
  const std::string& errors();
  // The next line of its output, without the line end. Waits for it; nothing if the process has
  // ended, or writes none within `limit`.
  std::optional<std::string> read_line(std::chrono::milliseconds limit = std::chrono::seconds(60));

  // Writes to its standard input; in a role, hear() returns for each byte. False: it has ended, or
  // accepts no more input.
  bool tell(const std::string& text);
  void send_signal(int number);
  // Sends SIGSTOP, and waits until the process has stopped: nothing changes until SIGCONT. False:
  // it had already ended.
  bool freeze();
  // Sends SIGKILL, and waits for the end.
  void kill_hard();
  // Waits until it ends by itself. Returns the exit code, 128 + N for signal N, or -1 if it has not
  // ended in time.
  int wait(std::chrono::milliseconds limit = std::chrono::seconds(60));
  // Closes its input, and waits.
  int finish(std::chrono::milliseconds limit = std::chrono::seconds(30));
  bool is_running();

 private:
  enum class Talk : std::uint8_t { with_errors_caught, with_errors_shared, apart };
  void start(ProgramToStart program, Talk talk);
  void release();

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int errors_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string text_;
  std::size_t given_ = 0;  // of `text_`, by read_line
  std::string error_text_;
};

// For a child in a role. These two throw if the parent is gone.
std::string child_argument();
void say(const std::string& line);
void hear();

}  // namespace semper::testing

#define SEMPER_CHILD(role) TEST(Child, DISABLED_##role)
