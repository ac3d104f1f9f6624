// The program as processes: served, visited, killed and told to end.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "semper/testing/temporary_folder.h"

namespace {

class Program {
 public:
  Program(const std::string& role, const std::string& url) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execl(SEMPER_PROGRAM, SEMPER_PROGRAM, role.c_str(), url.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~Program() {
    if (process_ > 0) end_by(SIGKILL);
    ::close(output_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string line() {
    std::string text;
    for (char c = 0; ::read(output_, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  void send(int number) const { ::kill(process_, number); }
  int exit_status() {
    int status = 0;
    EXPECT_EQ(::waitpid(process_, &status, 0), process_);
    process_ = 0;
    return status;
  }
  int end_by(int number) {
    send(number);
    return exit_status();
  }

 private:
  pid_t process_ = 0;
  int output_ = -1;
};

TEST(Threads, a_server_ends_in_order_when_it_is_told_to) {
  const semper::testing::TemporaryFolder folder;
  const std::string url = "sqlite:" + folder.path("visits.db");
  for (const int number : {SIGTERM, SIGINT}) {
    Program server("serve", url);
    ASSERT_EQ(server.line(), "serving");
    server.send(number);
    EXPECT_EQ(server.line(), "stopped");
    EXPECT_EQ(server.exit_status(), 0);
  }
}

TEST(Threads, no_visit_is_lost_or_counted_twice_when_the_server_is_killed) {
  const semper::testing::TemporaryFolder folder;
  const std::string url = "sqlite:" + folder.path("visits.db");
  Program first("serve", url);
  ASSERT_EQ(first.line(), "serving");
  Program visitors("visit", url);
  first.end_by(SIGKILL);
  Program second("serve", url);
  ASSERT_EQ(second.line(), "serving");
  EXPECT_EQ(visitors.line(), "81 visits");
  EXPECT_EQ(visitors.exit_status(), 0);
}

}  // namespace
