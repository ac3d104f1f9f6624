// Processes of tests: what they say and hear, how they end, and what becomes of them.
#include "semper/testing/child_process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

ProgramToStart shell(const std::string& script) {
  ProgramToStart program{"/bin/sh"};
  program.arguments = {"-c", script};
  return program;
}

SEMPER_CHILD(says_what_it_was_given_and_ends_when_told) {
  say("first " + child_argument());
  say("");
  hear();
  say("last");
}

TEST(ChildProcess, a_child_in_a_role_says_lines_and_hears_its_parent) {
  ChildProcess child("says_what_it_was_given_and_ends_when_told", "a b");
  EXPECT_EQ(child.read_line(), "first a b");
  EXPECT_EQ(child.read_line(), "");
  EXPECT_EQ(child.read_line(std::chrono::milliseconds(0)), std::nullopt) << "it waits to be told";
  EXPECT_TRUE(child.tell("\n"));
  EXPECT_EQ(child.read_line(), "last");
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(child.read_line(), std::nullopt);
  EXPECT_EQ(child.output(), "first a b\n\nlast\n");
}

// The environment variable has this value meanwhile.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) {
    if (const char* now = std::getenv(name)) before_ = now;
    ::setenv(name, value, 1);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  ~Setting() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* const name_;
  std::optional<std::string> before_;
};

TEST(ChildProcess, a_child_has_its_role_although_its_parent_runs_a_part_of_the_tests) {
  const Setting parts("GTEST_TOTAL_SHARDS", "100000");
  const Setting part("GTEST_SHARD_INDEX", "99999");
  ChildProcess child("says_what_it_was_given_and_ends_when_told", "a");
  EXPECT_EQ(child.read_line(), "first a");
  EXPECT_TRUE(child.tell("\n"));
  EXPECT_EQ(child.wait(), 0);
}

TEST(ChildProcess, what_a_killed_child_has_said_before_can_be_read_afterwards) {
  ChildProcess child(shell("echo one; echo two; read word"));
  ASSERT_TRUE(wait_until([&] { return child.has_written("two\n"); }));
  child.kill_hard();
  EXPECT_FALSE(child.is_running());
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  EXPECT_EQ(child.read_line(), "one");
  EXPECT_EQ(child.read_line(), "two");
  EXPECT_EQ(child.read_line(), std::nullopt);
}

TEST(ChildProcess, output_and_errors_are_caught_apart_and_the_exit_code_is_given) {
  ProgramToStart program = shell("cat; echo trouble >&2; exit 3");
  program.input = "all that it reads";
  ChildProcess child(std::move(program));
  EXPECT_EQ(child.finish(), 3);
  EXPECT_EQ(child.output(), "all that it reads");
  EXPECT_EQ(child.errors(), "trouble\n");
}

TEST(ChildProcess, a_log_gets_all_that_a_program_says) {
  const TemporaryFolder folder;
  ProgramToStart program = shell("echo out; echo err >&2");
  program.log = folder.path("log");
  ChildProcess child(std::move(program));
  EXPECT_EQ(child.finish(), 0);
  std::ostringstream text;
  text << std::ifstream(folder.path("log")).rdbuf();
  EXPECT_EQ(text.str(), "out\nerr\n");
  EXPECT_EQ(child.output(), "");
}

TEST(ChildProcess, a_child_that_has_ended_is_told_nothing) {
  ChildProcess child(shell("exit 0"));
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(child.tell("anything\n"));
}

TEST(ChildProcess, a_child_that_does_not_end_in_time_is_no_success) {
  ChildProcess child(shell("read word"));
  EXPECT_EQ(child.wait(std::chrono::milliseconds(0)), -1);
  EXPECT_TRUE(child.freeze());
  EXPECT_TRUE(child.is_running());
  child.send_signal(SIGCONT);
  EXPECT_EQ(child.finish(), 1) << "its input has ended";
}

SEMPER_CHILD(starts_a_server) {
  ProgramToStart program{"/bin/sleep"};
  program.arguments = {"600"};
  program.ends_with_parent = true;
  const ChildProcess server(std::move(program));
  say(std::to_string(server.pid()));
  hear();
}

// A zombie that nobody has asked for yet has ended, too.
bool has_ended(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string number, name, state;
  return !(file >> number >> name >> state) || state == "Z";
}

TEST(ChildProcess, a_server_ends_with_its_parent_however_that_ends) {
  ChildProcess parent("starts_a_server", "");
  const auto server = parent.read_line();
  ASSERT_TRUE(server);
  EXPECT_FALSE(has_ended(*server));
  parent.kill_hard();
  EXPECT_TRUE(wait_until([&] { return has_ended(*server); }));
}

}  // namespace
}  // namespace semper::testing
