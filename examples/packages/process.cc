#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "semper/base/assert.h"

extern char** environ;

namespace packages {
namespace {

constexpr std::size_t kOutputBytesMaximum = 64u << 20;

struct Pipe {
  int read = -1;
  int write = -1;
};
semper::Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return semper::fail(semper::error_from_errno(errno, "pipe"));
  return Pipe{ends[0], ends[1]};
}

void close_descriptor(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

// Own group; default signals, whatever we block.
int spawn(const std::vector<std::string>& arguments, int input, int output, pid_t& pid) {
  std::vector<char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  const int error =
      ::posix_spawnp(&pid, pointers[0], &actions, &attributes, pointers.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return "signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
  }
  return WEXITSTATUS(status) == 0 ? "" : "exit code " + std::to_string(WEXITSTATUS(status));
}

int left_ms(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

}  // namespace

semper::Result<Child> Child::start(std::vector<std::string> arguments) {
  SEMPER_ASSERT(!arguments.empty(), "a child needs a program");
  SEMPER_TRY(auto to_child, make_pipe());
  auto from_child = make_pipe();
  if (!from_child) {
    close_descriptor(to_child.read);
    close_descriptor(to_child.write);
    return semper::fail(from_child.error());
  }
  Child child;
  const int error = spawn(arguments, to_child.read, from_child->write, child.pid_);
  close_descriptor(to_child.read);
  close_descriptor(from_child->write);
  child.input_ = to_child.write;
  child.output_ = from_child->read;
  if (error != 0) {
    child.pid_ = -1;
    return semper::fail(semper::error_from_errno(error, "starting " + arguments[0]));
  }
  ::fcntl(child.output_, F_SETFL, O_NONBLOCK);
  return child;
}

Child::Child(Child&& other) noexcept {
  *this = std::move(other);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this == &other) return *this;
  release();
  pid_ = std::exchange(other.pid_, -1);
  input_ = std::exchange(other.input_, -1);
  output_ = std::exchange(other.output_, -1);
  pending_ = std::move(other.pending_);
  end_ = std::move(other.end_);
  return *this;
}

Child::~Child() {
  release();
}

void Child::release() {
  if (pid_ > 0 && !end_) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  close_descriptor(input_);
  close_descriptor(output_);
  pid_ = -1;
}

// False when nothing more will come.
bool Child::read_available() {
  std::array<char, 4096> buffer{};
  while (output_ >= 0) {
    const auto got = ::read(output_, buffer.data(), buffer.size());
    if (got > 0) {
      pending_.append(buffer.data(), static_cast<std::size_t>(got));
    } else if (got == 0) {
      close_descriptor(output_);
    } else if (errno != EINTR) {
      return true;
    }
  }
  return false;
}

std::optional<std::string> Child::next_line() {
  read_available();
  const auto end = pending_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return line;
}

std::optional<std::string> Child::wait_line(int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    if (auto line = next_line()) return line;
    const int left = left_ms(deadline);
    if (output_ < 0 || left == 0) return std::nullopt;
    wait_readable({output_}, left);
  }
}

void Child::write_line(std::string_view line) {
  const std::string text = std::string(line) + "\n";
  // A child that is gone shows by ended(); SIGPIPE is ignored (StopSignals).
  if (input_ >= 0 && ::write(input_, text.data(), text.size()) < 0) close_descriptor(input_);
}

void Child::close_input() {
  close_descriptor(input_);
}

void Child::kill_hard() {
  if (pid_ > 0 && !end_) ::kill(pid_, SIGKILL);
}

std::optional<std::string> Child::ended() {
  if (end_) return end_;
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) end_ = describe_end(status);
  return end_;
}

std::optional<std::string> Child::wait_end(int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!ended() && left_ms(deadline) > 0) {
    // Its output ends when it does.
    if (read_available()) {
      wait_readable({output_}, std::min(left_ms(deadline), 100));
    } else {
      ::poll(nullptr, 0, 1);
    }
  }
  return end_;
}

semper::Result<std::string> output_of(std::vector<std::string> arguments) {
  const std::string program = arguments.at(0);
  SEMPER_TRY(auto pipe, make_pipe());
  const int null_input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  pid_t pid = -1;
  const int error = spawn(arguments, null_input, pipe.write, pid);
  ::close(null_input);
  close_descriptor(pipe.write);
  std::string output;
  std::array<char, 65536> buffer{};
  while (error == 0) {
    const auto got = ::read(pipe.read, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || output.size() > kOutputBytesMaximum) break;
    output.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close_descriptor(pipe.read);
  if (error != 0) return semper::fail(semper::error_from_errno(error, "starting " + program));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (const auto end = describe_end(status); !end.empty()) {
    return semper::fail(semper::ErrorKind::io, program + " ended with " + end);
  }
  return output;
}

StopSignals::StopSignals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  descriptor_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

StopSignals::~StopSignals() {
  ::close(descriptor_);
}

std::optional<int> StopSignals::received() {
  signalfd_siginfo info{};
  if (!received_ && ::read(descriptor_, &info, sizeof(info)) == sizeof(info)) {
    received_ = static_cast<int>(info.ssi_signo);
  }
  return received_;
}

void wait_readable(std::vector<int> descriptors, int timeout_ms) {
  std::vector<pollfd> polled;
  for (const int descriptor : descriptors) polled.push_back({descriptor, POLLIN, 0});
  ::poll(polled.data(), polled.size(), timeout_ms);
}

}  // namespace packages
