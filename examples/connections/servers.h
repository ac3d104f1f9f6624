// Real servers on loopback, for the tests: each in a process of its own and a temporary folder.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace connections {

// The first of these programs that is there; empty: none is.
std::string find_program(const std::vector<std::string>& patterns);

class ServerProcess {
 public:
  // `as_user`: of whom the process is where this one is root's; empty: of whoever this one is.
  ServerProcess(std::vector<std::string> words, std::uint16_t port, std::string as_user = "");
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Returns when it listens; tries again where it ends before, for what it left behind when it was
  // killed may be in its way for a moment. False: it does not.
  bool start();
  void signal(int number) const;
  // With SIGKILL; returns when it is gone.
  void kill();

 private:
  const std::vector<std::string> words_;
  const std::uint16_t port_;
  const std::string as_user_;
  pid_t process_ = 0;
};

// Runs a program to its end; whether it said 0.
bool run_program(const std::vector<std::string>& words, const std::string& as_user);

// A port on loopback that was free a moment ago.
std::uint16_t free_port();

// A folder that goes with this object, and belongs to that user.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& of_user = "");
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace connections
