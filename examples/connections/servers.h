// Real servers on loopback, for the tests: each in a process of its own and a temporary folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "semper/testing/child_process.h"

namespace connections {

// The first of these programs that is there; empty: none is.
std::string find_program(const std::vector<std::string>& patterns);

class ServerProcess {
 public:
  // `as_user`: of whom the process is where this one is root's; empty: of whoever this one is.
  ServerProcess(std::vector<std::string> words, std::uint16_t port, std::string as_user = "");

  // Returns when it listens; tries again where it ends before, for what it left behind when it was
  // killed may be in its way for a moment. False: it does not.
  bool start();
  // With SIGKILL; returns when it is gone.
  void kill();

 private:
  const std::vector<std::string> words_;
  const std::uint16_t port_;
  const std::string as_user_;
  std::optional<semper::testing::ChildProcess> process_;
};

// Runs a program to its end; whether it said 0.
bool run_program(const std::vector<std::string>& words, const std::string& as_user);

// Makes it the owner of the folder, where this process is root's.
void give_away(const std::string& folder, const std::string& to_user);

}  // namespace connections
