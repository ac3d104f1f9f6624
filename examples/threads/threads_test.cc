// The program as processes: served, visited, killed and told to end.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <utility>

#include "semper/testing/child_process.h"
#include "semper/testing/temporary_folder.h"

namespace {

using semper::testing::ChildProcess;

ChildProcess start(const std::string& role, const std::string& url) {
  semper::testing::ProgramToStart program{SEMPER_PROGRAM};
  program.arguments = {role, url};
  program.ends_with_parent = true;
  return ChildProcess(std::move(program));
}

TEST(Threads, a_server_ends_in_order_when_it_is_told_to) {
  const semper::testing::TemporaryFolder folder;
  const std::string url = "sqlite:" + folder.path("visits.db");
  for (const int number : {SIGTERM, SIGINT}) {
    ChildProcess server = start("serve", url);
    ASSERT_EQ(server.read_line(), "serving");
    server.send_signal(number);
    EXPECT_EQ(server.read_line(), "stopped");
    EXPECT_EQ(server.wait(), 0);
  }
}

TEST(Threads, no_visit_is_lost_or_counted_twice_when_the_server_is_killed) {
  const semper::testing::TemporaryFolder folder;
  const std::string url = "sqlite:" + folder.path("visits.db");
  ChildProcess first = start("serve", url);
  ASSERT_EQ(first.read_line(), "serving");
  ChildProcess visitors = start("visit", url);
  first.kill_hard();
  ChildProcess second = start("serve", url);
  ASSERT_EQ(second.read_line(), "serving");
  EXPECT_EQ(visitors.read_line(), "81 visits");
  EXPECT_EQ(visitors.wait(), 0);
}

}  // namespace
