// A process of a test: another program, or this one again in another role.
//
// What for: what processes do to each other, real servers, SIGKILL. When not: what one process shows; a
// simulated store, disk and clock do it in no time, and the same way each time.
//
//   SEMPER_CHILD(keeps_the_lock) {                        // a test that only a child runs
//     take_lock(child_argument());
//     say("taken");
//     hear();                                             // until the parent says something, or ends
//   }
//   ChildProcess child("keeps_the_lock", path);           // in the parent's test
//   ASSERT_EQ(child.read_line(), "taken");
//   child.kill_hard();
//
// A process that is alive when its ChildProcess goes is killed. All aborts the test program where no process
// can be started: nothing can be tested then. Threads: a value, for one at a time.
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

// Polls until `condition` holds; false when it did not within `limit`. The tests' only way to wait.
bool wait_until(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(30));

// A program to start. What is not said is as in this process.
struct ProgramToStart {
  std::string path = "/proc/self/exe";        // this program
  std::vector<std::string> arguments = {};    // without the program's name
  std::vector<std::string> environment = {};  // NAME=VALUE, besides what this process has
  // All that its standard input holds. Default: a pipe that ends with finish().
  std::optional<std::string> input = std::nullopt;
  // Where both its outputs are appended, "/dev/null" too. Default: they are caught.
  std::string log = {};
  // Where root starts it: the user that it runs as, for servers that refuse to be root's.
  std::string as_user = {};
  // Killed when this process ends, however it does: for servers, which nothing else tells.
  bool ends_with_parent = false;
};

class ChildProcess {
 public:
  // Its standard output and error are caught.
  explicit ChildProcess(ProgramToStart program);
  // This program with these arguments. Its standard error is this process's.
  explicit ChildProcess(std::vector<std::string> arguments);
  // This program in a role, SEMPER_CHILD(role). Its standard streams are this process's: output() and
  // read_line() have what it has said.
  ChildProcess(const std::string& role, const std::string& argument);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // Everything that it has written to standard output so far, whether read_line() has given it out or not.
  const std::string& output();
  bool has_written(const std::string& text);
  // The same of its standard error; empty where that is shared with this process.
  const std::string& errors();
  // The next line of its output, without its end. Waits for it; nothing where it has ended before, or
  // says none within `limit`.
  std::optional<std::string> read_line(std::chrono::milliseconds limit = std::chrono::seconds(60));

  // Writes to its standard input; in a role, hear() returns for each byte. False: it has ended, or takes no
  // more.
  bool tell(const std::string& text);
  void send_signal(int number);
  // SIGSTOP, and waits until it stands still: what it has done by then stays as it is until SIGCONT.
  // False: it had ended before.
  bool freeze();
  // SIGKILL, and waits for the end.
  void kill_hard();
  // Waits until it ends by itself: the exit code, 128 + N for signal N, -1 for neither in time.
  int wait(std::chrono::milliseconds limit = std::chrono::seconds(60));
  // Ends its input, and waits.
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

// In a child that plays a role. These two throw where the parent has gone.
std::string child_argument();
void say(const std::string& line);
void hear();

}  // namespace semper::testing

#define SEMPER_CHILD(role) TEST(Child, DISABLED_##role)
