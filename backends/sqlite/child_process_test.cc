#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace semper::sqlite {
namespace {

constexpr const char* kArgument = "SEMPER_SQLITE_TEST_ARGUMENT";
constexpr const char* kOutput = "SEMPER_SQLITE_TEST_OUTPUT";

}  // namespace

ChildProcess::ChildProcess(const std::string& role, const std::string& argument) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const std::string filter = "--gtest_filter=Child.DISABLED_" + role;
  const std::string given = std::string(kArgument) + "=" + argument;
  const std::string output = std::string(kOutput) + "=" + std::to_string(ends[1]);
  const char* const arguments[] = {"child", "--gtest_also_run_disabled_tests", filter.c_str(),
                                   "--gtest_brief=1", nullptr};
  const char* const environment[] = {given.c_str(), output.c_str(), nullptr};
  pid_ = ::fork();
  if (pid_ == 0) {
    ::fcntl(ends[1], F_SETFD, 0);
    ::execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environment));
    ::_exit(127);
  }
  ::close(ends[1]);
  output_ = ends[0];
  if (pid_ < 0) throw std::runtime_error("no process");
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), output_(std::exchange(other.output_, -1)) {}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill();
    wait();
  }
  if (output_ >= 0) ::close(output_);
}

std::string ChildProcess::read_line() {
  std::string line;
  for (char byte = 0;;) {
    const ssize_t got = ::read(output_, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || byte == '\n') return line;
    line.push_back(byte);
  }
}

void ChildProcess::kill() {
  ::kill(pid_, SIGKILL);
}

int ChildProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string child_argument() {
  const char* argument = std::getenv(kArgument);
  return argument == nullptr ? "" : argument;
}

void say(const std::string& line) {
  const char* output = std::getenv(kOutput);
  const std::string whole = line + "\n";
  if (output == nullptr ||
      ::write(std::atoi(output), whole.data(), whole.size()) != ssize_t(whole.size())) {
    throw std::runtime_error("nobody listens");
  }
}

}  // namespace semper::sqlite
