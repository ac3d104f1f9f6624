#include "file_worlds_test_support.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace semper::testing {
namespace {

constexpr const char* kArgument = "SEMPER_BLOCK_TEST_ARGUMENT";
constexpr const char* kOutput = "SEMPER_BLOCK_TEST_OUTPUT";
constexpr const char* kInput = "SEMPER_BLOCK_TEST_INPUT";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

FileWorld::FileWorld(FileDeviceOptions options) : path_(folder_.path("device")), options_(options) {
  const auto made = create_block_file(path_, {.size = kContractDiskSize});
  EXPECT_TRUE(made) << made.error().to_string();
}

Result<std::unique_ptr<BlockDevice>> FileWorld::open(Access access) {
  auto options = options_;
  options.read_only = access == Access::read_only;
  return open_block_device(path_, options);
}

std::unique_ptr<LoopWorld> LoopWorld::make(std::uint32_t sector_size, FileDeviceOptions options) {
  if (::geteuid() != 0) {
    std::cout << "no loop device: this is not root\n";
    return nullptr;
  }
  std::unique_ptr<LoopWorld> world(new LoopWorld(options));
  const auto made = run_command(
      {"losetup", "--find", "--show", "--sector-size", std::to_string(sector_size), world->path_});
  if (!made.ok) {
    std::cout << "no loop device: losetup failed\n";
    return nullptr;
  }
  world->backing_ = world->path_;
  world->path_ = made.output;
  run_command({"blockdev", "--setrw", world->path_});  // it keeps what its last user made it
  return world;
}

LoopWorld::~LoopWorld() {
  if (!backing_.empty()) run_command({"losetup", "--detach", path_});
}

CommandResult run_command(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  std::vector<char*> list;
  for (const auto& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execvp(list[0], list.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  CommandResult result;
  char bytes[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], bytes, sizeof bytes)) > 0;) {
    result.output.append(bytes, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  result.ok = child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
  while (!result.output.empty() && result.output.back() == '\n') result.output.pop_back();
  return result;
}

ChildProcess::ChildProcess(const std::string& role, const std::string& argument) {
  int up[2];
  int down[2];
  if (::pipe2(up, O_CLOEXEC) != 0 || ::pipe2(down, O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe");
  }
  const std::string filter = "--gtest_filter=Child.DISABLED_" + role;
  const std::string environment[] = {std::string(kArgument) + "=" + argument,
                                     std::string(kOutput) + "=" + std::to_string(up[1]),
                                     std::string(kInput) + "=" + std::to_string(down[0])};
  const char* const arguments[] = {"child", "--gtest_also_run_disabled_tests", filter.c_str(),
                                   "--gtest_brief=1", nullptr};
  const char* const variables[] = {environment[0].c_str(), environment[1].c_str(),
                                   environment[2].c_str(), nullptr};
  pid_ = ::fork();
  if (pid_ == 0) {
    ::fcntl(up[1], F_SETFD, 0);
    ::fcntl(down[0], F_SETFD, 0);
    ::execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(variables));
    ::_exit(127);
  }
  ::close(up[1]);
  ::close(down[0]);
  from_child_ = up[0];
  to_child_ = down[1];
  if (pid_ < 0) throw std::runtime_error("no process");
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill();
    wait();
  }
  ::close(from_child_);
  ::close(to_child_);
}

std::string ChildProcess::read_line() {
  std::string line;
  for (char byte = 0;;) {
    const ssize_t got = ::read(from_child_, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || byte == '\n') return line;
    line.push_back(byte);
  }
}

void ChildProcess::tell() {
  if (::write(to_child_, "\n", 1) != 1) throw std::runtime_error("the child has gone");
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
