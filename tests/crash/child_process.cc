#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
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

// A file without a name that holds `text`, to be read from its beginning.
int whole_input(const std::string& text) {
  const int file = ::memfd_create("input", MFD_CLOEXEC);
  if (file < 0) give_up("memfd_create");
  for (std::size_t done = 0; done < text.size();) {
    const auto wrote = ::write(file, text.data() + done, text.size() - done);
    if (wrote < 0) give_up("write");
    done += static_cast<std::size_t>(wrote);
  }
  ::lseek(file, 0, SEEK_SET);
  return file;
}

void read_all(int from, std::string& into) {
  std::array<char, 4096> buffer{};
  while (from >= 0) {
    const auto got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    into.append(buffer.data(), static_cast<std::size_t>(got));
  }
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
  ProgramToStart self{"/proc/self/exe"};
  self.arguments = std::move(arguments);
  start(std::move(self), /*catch_errors=*/false);
}

ChildProcess::ChildProcess(ProgramToStart program) {
  start(std::move(program), /*catch_errors=*/true);
}

void ChildProcess::start(ProgramToStart program, bool catch_errors) {
  std::vector<char*> arguments = {program.path.data()};
  for (auto& argument : program.arguments) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  std::vector<char*> environment;  // the first of two settings of a name counts
  for (auto& setting : program.environment) environment.push_back(setting.data());
  for (char** setting = environ; *setting != nullptr; ++setting) environment.push_back(*setting);
  environment.push_back(nullptr);

  const Pipe to_child = program.input ? Pipe{whole_input(*program.input), -1} : make_pipe();
  const Pipe from_child = make_pipe();
  const Pipe errors = catch_errors ? make_pipe() : Pipe{-1, -1};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child.read, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child.write, STDOUT_FILENO);
  if (catch_errors) posix_spawn_file_actions_adddup2(&actions, errors.write, STDERR_FILENO);
  const int error = ::posix_spawn(&pid_, program.path.c_str(), &actions, nullptr, arguments.data(),
                                  environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    give_up("posix_spawn");
  }
  for (const int end : {to_child.read, from_child.write, errors.write}) {
    if (end >= 0) ::close(end);
  }
  input_ = to_child.write;
  output_ = from_child.read;
  errors_ = errors.read;
  for (const int end : {output_, errors_}) {
    if (end >= 0) ::fcntl(end, F_SETFL, O_NONBLOCK);
  }
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
  errors_ = std::exchange(other.errors_, -1);
  status_ = other.status_;
  ended_ = other.ended_;
  text_ = std::move(other.text_);
  error_text_ = std::move(other.error_text_);
  return *this;
}

ChildProcess::~ChildProcess() {
  release();
}

void ChildProcess::release() {
  if (pid_ > 0 && !ended_) kill_hard();
  if (input_ >= 0) ::close(input_);
  if (output_ >= 0) ::close(output_);
  if (errors_ >= 0) ::close(errors_);
  pid_ = input_ = output_ = errors_ = -1;
}

const std::string& ChildProcess::output() {
  read_all(output_, text_);
  return text_;
}

const std::string& ChildProcess::errors() {
  read_all(errors_, error_text_);
  return error_text_;
}

bool ChildProcess::has_written(const std::string& text) {
  return output().find(text) != std::string::npos;
}

bool ChildProcess::tell(const std::string& text) {
  if (input_ < 0 || !is_running()) return false;
  return ::write(input_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void ChildProcess::send_signal(int number) {
  if (is_running()) ::kill(pid_, number);
}

bool ChildProcess::freeze() {
  if (!is_running()) return false;
  ::kill(pid_, SIGSTOP);
  int status = 0;
  while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
  }
  if (WIFSTOPPED(status)) return true;
  status_ = status;
  ended_ = true;
  return false;
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
  const auto ended = [this] {
    // Whoever fills a pipe that nobody reads never ends.
    output();
    errors();
    return !is_running();
  };
  if (!wait_until(ended, limit)) return -1;
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

}  // namespace semper::testing
