// Runs a part of this test program in another process: tests of what processes do to each other.
//
//   SEMPER_CHILD(writes_a_key) { ... }            // a test that only a child runs
//   ChildProcess child("writes_a_key", url);      // parent: starts it
//   child.wait_for_line("ready");                 // what the child printed with say()
//   EXPECT_EQ(child.wait(), 0);
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>

namespace semper::sqlite {

class ChildProcess {
 public:
  // `argument` is what child_argument() returns there.
  ChildProcess(const std::string& role, const std::string& argument);
  ~ChildProcess();  // kills it where it still runs
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next line that the child says; empty where it has ended.
  std::string read_line();
  void kill();
  // Its exit code; 128 + the signal that ended it.
  int wait();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

std::string child_argument();
void say(const std::string& line);

}  // namespace semper::sqlite

#define SEMPER_CHILD(role) TEST(Child, DISABLED_##role)
