// What the tool reads from its standard input, and signals meanwhile.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <string>

#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

class CliInput : public CliTest {
 protected:
  // It has read all that it was told.
  static bool has_heard(const ChildProcess& tool) {
    const std::string input = "/proc/" + std::to_string(tool.pid()) + "/fd/0";
    const int pipe = ::open(input.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int waiting = -1;
    const bool is_known = pipe >= 0 && ::ioctl(pipe, FIONREAD, &waiting) == 0;
    if (pipe >= 0) ::close(pipe);
    return is_known && waiting == 0;
  }
};

TEST_F(CliInput, a_call_that_reads_its_message_hears_the_first_signal) {
  create_store();
  for (const int number : {SIGINT, SIGTERM}) {
    ProgramToStart program{SEMPER_PROGRAM};
    program.arguments = {"--store", url(), "call", "Counter/a", "Add", "-", "--force"};
    program.environment = {"SEMPER_STORE=", "SEMPER_LOG=warning"};
    ChildProcess tool(std::move(program));
    ASSERT_TRUE(tool.tell("[1"));
    ASSERT_TRUE(wait_until([&] { return has_heard(tool); }));
    tool.send_signal(number);
    EXPECT_EQ(tool.wait(), 1) << "signal " << number;
    EXPECT_THAT(tool.errors(), HasSubstr("interrupted; nothing was sent"));
  }
  EXPECT_EQ(must({"types"}), "");
}

TEST_F(CliInput, a_message_comes_from_a_file_in_pieces_and_from_none_that_is_closed) {
  create_store();
  const std::string text(200'000, 'x');
  must({"cast", "Counter/a", "Add", "-", "--force"}, "[\"" + text + "\"]");
  EXPECT_EQ(must_json({"queue", "Counter/a"})[0]["content"][0], text);
  const Ran none = run({"cast", "Counter/a", "Add", "-", "--force"}, std::string());
  EXPECT_EQ(none.code, 2) << none;
}

// A person is asked, and answers with Ctrl-C.
TEST_F(CliInput, a_question_hears_the_first_signal) {
  const std::string file = path("ring");
  write_whole_file(file, std::string(1 << 20, 'x'));
  for (const char* answer : {"\x03", "n\n"}) {
    int terminal = -1;
    const pid_t tool = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (tool == 0) {
      ::execl(SEMPER_PROGRAM, SEMPER_PROGRAM, "ring", "create", file.c_str(), nullptr);
      ::_exit(127);
    }
    ASSERT_GT(tool, 0);
    std::string shown;
    std::array<char, 1024> part{};
    bool is_answered = false;
    while (true) {
      pollfd waits{terminal, POLLIN, 0};
      if (::poll(&waits, 1, 60'000) == 0) {
        ::kill(tool, SIGKILL);
        FAIL() << "it does not end: " << shown;
      }
      const auto got = ::read(terminal, part.data(), part.size());
      if (got <= 0) break;  // it has ended
      shown.append(part.data(), static_cast<std::size_t>(got));
      if (is_answered || shown.find("[y/N]") == std::string::npos) continue;
      is_answered = true;
      ASSERT_EQ(::write(terminal, answer, std::strlen(answer)),
                static_cast<ssize_t>(std::strlen(answer)));
    }
    ::close(terminal);
    int status = 0;
    ASSERT_EQ(::waitpid(tool, &status, 0), tool);
    EXPECT_TRUE(WIFEXITED(status)) << shown;
    EXPECT_EQ(WEXITSTATUS(status), 1) << shown;
    EXPECT_THAT(shown, HasSubstr("nothing was changed"));
  }
  EXPECT_EQ(read_whole_file(file), std::string(1 << 20, 'x'));
}

}  // namespace
}  // namespace semper::testing
