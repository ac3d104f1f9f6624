#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

extern char** environ;

namespace semper::testing {
namespace {

constexpr auto kPollInterval = std::chrono::microseconds(200);

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

struct Pipe {
  int read;
  int write;
};
Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("pipe2");
  return {ends[0], ends[1]};
}

}  // namespace

bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

ChildProcess::ChildProcess(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/proc/self/exe");
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const Pipe to_child = make_pipe();
  const Pipe from_child = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child.read, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child.write, STDOUT_FILENO);
  const int error =
      ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    give_up("posix_spawn");
  }
  ::close(to_child.read);
  ::close(from_child.write);
  input_ = to_child.write;
  output_ = from_child.read;
  ::fcntl(output_, F_SETFL, O_NONBLOCK);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept {
  *this = std::move(other);
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  release();
  pid_ = std::exchange(other.pid_, -1);
  input_ = std::exchange(other.input_, -1);
  output_ = std::exchange(other.output_, -1);
  status_ = other.status_;
  ended_ = other.ended_;
  text_ = std::move(other.text_);
  return *this;
}

ChildProcess::~ChildProcess() {
  release();
}

void ChildProcess::release() {
  if (pid_ > 0 && !ended_) kill_hard();
  if (input_ >= 0) ::close(input_);
  if (output_ >= 0) ::close(output_);
  pid_ = input_ = output_ = -1;
}

const std::string& ChildProcess::output() {
  std::array<char, 4096> buffer{};
  while (true) {
    const auto got = ::read(output_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text_;
    text_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

bool ChildProcess::has_written(const std::string& text) {
  return output().find(text) != std::string::npos;
}

void ChildProcess::send_signal(int number) {
  if (is_running()) ::kill(pid_, number);
}

void ChildProcess::kill_hard() {
  if (!is_running()) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
  }
  ended_ = true;
}

bool ChildProcess::is_running() {
  if (!ended_ && pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return !ended_ && pid_ > 0;
}

int ChildProcess::finish(std::chrono::milliseconds limit) {
  if (input_ >= 0) ::close(input_);
  input_ = -1;
  if (!wait_until([this] { return !is_running(); }, limit)) return -1;
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

}  // namespace semper::testing
