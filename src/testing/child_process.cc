#include "semper/testing/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include "semper/env/scheduler.h"

extern char** environ;

namespace semper::testing {
namespace {

constexpr auto kPollInterval = std::chrono::microseconds(200);
constexpr const char* kArgument = "SEMPER_CHILD_ARGUMENT";
constexpr const char* kOutput = "SEMPER_CHILD_OUTPUT";
constexpr const char* kInput = "SEMPER_CHILD_INPUT";

// A child writes no report over its parent's, and has its role to play even where its parent runs
// every sixth test only.
bool is_for_this_run(std::string_view setting) {
  return setting.starts_with("GTEST_OUTPUT=") || setting.starts_with("GTEST_TOTAL_SHARDS=") ||
         setting.starts_with("GTEST_SHARD_INDEX=") ||
         setting.starts_with("GTEST_SHARD_STATUS_FILE=");
}

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

struct Pipe {
  int read = -1;
  int write = -1;
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

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What becomes of the child's descriptors: standard ones are replaced, or one is kept under its
// number.
struct Redirection {
  int from;
  int to;
};

// All that the child needs, made before there is one.
struct Beginning {
  std::string path;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::vector<Redirection> redirections;
  const passwd* user = nullptr;
  pid_t parent = 0;
};

// The child's side of a fork, in which other threads may have held any lock: system calls alone.
[[noreturn]] void become(const Beginning& beginning) {
  if (beginning.user != nullptr && ::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(beginning.user->pw_gid) != 0 ||
        ::setuid(beginning.user->pw_uid) != 0) {
      ::_exit(126);
    }
  }
  // The parent may have ended before it could be named.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != beginning.parent) ::_exit(125);
  for (const auto& [from, to] : beginning.redirections) {
    if (from == to) {
      ::fcntl(to, F_SETFD, 0);
    } else {
      ::dup2(from, to);
    }
  }
  ::execve(beginning.path.c_str(), beginning.arguments.data(), beginning.environment.data());
  ::_exit(127);
}

// A child asks to be ended with the *thread* that made it, so that thread lives as long as the
// process.
pid_t fork_on_lasting_thread(const Beginning& beginning) {
  static Scheduler& scheduler = *new Scheduler({.threads = 1, .name = "test-parent"});
  const auto fork_there = [](const Beginning& begins) -> Task<pid_t> {
    const pid_t child = ::fork();
    if (child == 0) become(begins);
    co_return child;
  };
  const pid_t child = scheduler.block_on(fork_there(beginning));
  if (child < 0) give_up("fork");
  return child;
}

pid_t spawn(const Beginning& beginning) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const auto& [from, to] : beginning.redirections) {
    posix_spawn_file_actions_adddup2(&actions, from, to);
  }
  pid_t child = -1;
  const int error = ::posix_spawn(&child, beginning.path.c_str(), &actions, nullptr,
                                  beginning.arguments.data(), beginning.environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    give_up(beginning.path.c_str());
  }
  return child;
}

void close_all(std::initializer_list<int> descriptors) {
  for (const int each : descriptors) {
    if (each >= 0) ::close(each);
  }
}

const passwd* find_user(const std::string& name) {
  if (name.empty()) return nullptr;
  const passwd* const user = ::getpwnam(name.c_str());
  if (user == nullptr) give_up(("no user " + name).c_str());
  return user;
}

int open_log(const std::string& path) {
  const int log = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) give_up(path.c_str());
  return log;
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

ChildProcess::ChildProcess(ProgramToStart program) {
  start(std::move(program), Talk::with_errors_caught);
}

ChildProcess::ChildProcess(std::vector<std::string> arguments) {
  ProgramToStart self;
  self.arguments = std::move(arguments);
  start(std::move(self), Talk::with_errors_shared);
}

ChildProcess::ChildProcess(const std::string& role, const std::string& argument) {
  ProgramToStart self;
  self.arguments = {"--gtest_filter=Child.DISABLED_" + role, "--gtest_also_run_disabled_tests",
                    "--gtest_brief=1"};
  self.environment = {std::string(kArgument) + "=" + argument};
  start(std::move(self), Talk::apart);
}

void ChildProcess::start(ProgramToStart program, Talk talk) {
  const bool is_logged = !program.log.empty();
  const Pipe to_child = program.input ? Pipe{whole_input(*program.input), -1} : make_pipe();
  Pipe from_child, errors;
  if (is_logged) {
    from_child.write = open_log(program.log);
  } else {
    from_child = make_pipe();
    if (talk == Talk::with_errors_caught) errors = make_pipe();
  }

  Beginning beginning;
  if (talk == Talk::apart) {
    beginning.redirections = {{to_child.read, to_child.read}, {from_child.write, from_child.write}};
    program.environment.push_back(std::string(kInput) + "=" + std::to_string(to_child.read));
    program.environment.push_back(std::string(kOutput) + "=" + std::to_string(from_child.write));
  } else {
    beginning.redirections = {{to_child.read, STDIN_FILENO}, {from_child.write, STDOUT_FILENO}};
    const int error_end = is_logged ? from_child.write : errors.write;
    if (error_end >= 0) beginning.redirections.push_back({error_end, STDERR_FILENO});
  }
  beginning.path = program.path;
  beginning.arguments.push_back(program.path.data());
  for (auto& argument : program.arguments) beginning.arguments.push_back(argument.data());
  beginning.arguments.push_back(nullptr);
  // The first of two settings of a name counts.
  for (auto& setting : program.environment) beginning.environment.push_back(setting.data());
  for (char** setting = environ; *setting != nullptr; ++setting) {
    if (!is_for_this_run(*setting)) beginning.environment.push_back(*setting);
  }
  beginning.environment.push_back(nullptr);
  beginning.user = find_user(program.as_user);
  beginning.parent = ::getpid();
  const bool forks = program.ends_with_parent || beginning.user != nullptr;
  pid_ = forks ? fork_on_lasting_thread(beginning) : spawn(beginning);

  close_all({to_child.read, from_child.write, errors.write});
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
  given_ = std::exchange(other.given_, 0);
  error_text_ = std::move(other.error_text_);
  return *this;
}

ChildProcess::~ChildProcess() {
  release();
}

void ChildProcess::release() {
  if (pid_ > 0 && !ended_) kill_hard();
  close_all({input_, output_, errors_});
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

std::optional<std::string> ChildProcess::read_line(std::chrono::milliseconds limit) {
  std::size_t end = std::string::npos;
  const auto is_there = [&] {
    // Whoever ends after this was asked may have said a last line before.
    const bool has_ended = !is_running();
    errors();
    end = output().find('\n', given_);
    return end != std::string::npos || has_ended;
  };
  if (!wait_until(is_there, limit) || end == std::string::npos) return std::nullopt;
  std::string line = text_.substr(given_, end - given_);
  given_ = end + 1;
  return line;
}

bool ChildProcess::tell(const std::string& text) {
  if (input_ < 0 || !is_running()) return false;
  // SIGPIPE, where nobody ignores it, would end the test.
  sigset_t broken_pipe, before;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
  const auto wrote = ::write(input_, text.data(), text.size());
  const timespec now{};
  if (wrote < 0) ::sigtimedwait(&broken_pipe, nullptr, &now);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return wrote == static_cast<ssize_t>(text.size());
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

int ChildProcess::wait(std::chrono::milliseconds limit) {
  const auto has_ended = [this] {
    // Whoever fills a pipe that nobody reads never ends.
    output();
    errors();
    return !is_running();
  };
  if (!wait_until(has_ended, limit)) return -1;
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

int ChildProcess::finish(std::chrono::milliseconds limit) {
  close_all({std::exchange(input_, -1)});
  return wait(limit);
}

std::string child_argument() {
  return variable(kArgument);
}

void say(const std::string& line) {
  const std::string whole = line + "\n";
  if (::write(std::stoi(variable(kOutput)), whole.data(), whole.size()) !=
      static_cast<ssize_t>(whole.size())) {
    throw std::runtime_error("nobody listens");
  }
}

void hear() {
  char byte = 0;
  if (::read(std::stoi(variable(kInput)), &byte, 1) != 1) throw std::runtime_error("nobody speaks");
}

}  // namespace semper::testing
