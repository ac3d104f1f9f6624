// What the tool says to input that it cannot use, and that it changes nothing then.
#include <filesystem>

#include "hosted.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::size_t kApplicationVersionAt = 60;  // in the head of an SQLite file

class CliBadInput : public CliTest {
 protected:
  // Expects the same refusal, and an untouched file, of commands that read and of one that writes.
  void refused_untouched(int code, const std::string& words) {
    const std::string before = read_whole_file(path("store.db"));
    for (const Words& command : {Words{"types"}, Words{"store", "set", "k", "1"},
                                 Words{"store", "create"}, Words{"store", "check"}}) {
      refused(code, words, command);
    }
    EXPECT_EQ(read_whole_file(path("store.db")), before);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_),
                            std::filesystem::directory_iterator()),
              1)
        << "something was made beside it";
  }

  // What needs no store.
  static Ran tool_refuses(Words words) {
    const Ran ran = run_tool(std::move(words));
    EXPECT_EQ(ran.code, 2) << ran;
    EXPECT_THAT(ran.err, StartsWith("semper: "));
    EXPECT_EQ(ran.out, "");
    return ran;
  }
};

TEST_F(CliBadInput, an_unknown_store_is_named_with_what_there_is) {
  const Ran unknown = tool_refuses({"--store", "postgres:x", "types"});
  EXPECT_THAT(unknown.err, HasSubstr("postgres"));
  EXPECT_THAT(unknown.err, HasSubstr("sqlite:"));
  EXPECT_THAT(tool_refuses({"--store", "", "types"}).err, HasSubstr("--store URL"));
  EXPECT_THAT(tool_refuses({"types"}).err, HasSubstr("SEMPER_STORE"));
  EXPECT_THAT(tool_refuses({"--store", "sqlite:", "types"}).err, HasSubstr("sqlite:"));
  EXPECT_THAT(tool_refuses({"--store", url() + "?nonsense=1", "store", "create"}).err,
              HasSubstr("nonsense"));
}

TEST_F(CliBadInput, a_store_that_is_not_there_is_refused_and_not_made) {
  refused(3, "there is no store at", {"types"});
  refused(3, "store create", {"store", "set", "k", "1"});
  refused(3, "there is no store at", {"bench"});
  EXPECT_FALSE(std::filesystem::exists(path("store.db")));
  const Ran nowhere =
      run_tool({"--store", "sqlite:" + path("missing/store.db"), "store", "create"});
  EXPECT_EQ(nowhere.code, 3) << nowhere;
  EXPECT_THAT(nowhere.err, HasSubstr("missing/ of the store does not exist"));
  EXPECT_FALSE(std::filesystem::exists(path("missing")));
}

TEST_F(CliBadInput, a_file_that_is_no_store_is_refused_and_left_unchanged) {
  write_whole_file(path("store.db"), "These are the notes of a person, and no store.\n");
  refused_untouched(6, "store.db");
  write_whole_file(path("store.db"), std::string(8192, '\xaa'));
  refused_untouched(6, "store.db");
}

TEST_F(CliBadInput, a_store_of_a_newer_version_is_refused_and_left_unchanged) {
  create_store();
  std::string contents = read_whole_file(path("store.db"));
  contents.replace(kApplicationVersionAt, 4, std::string("\0\0\0\x63", 4));
  write_whole_file(path("store.db"), contents);
  refused_untouched(1, "99");
}

TEST_F(CliBadInput, a_damaged_store_is_refused_and_check_says_where_the_damage_is) {
  create_store();
  for (int i = 0; i < 20; ++i) {
    must({"store", "set", "(\"n\", " + std::to_string(i) + ")",
          "\"" + std::string(500, 'v') + "\""});
  }
  std::string contents = read_whole_file(path("store.db"));
  const std::size_t middle = contents.find(std::string(400, 'v'));
  ASSERT_NE(middle, std::string::npos);
  contents[middle + 200] = 'w';
  write_whole_file(path("store.db"), contents);
  const Ran check = run({"store", "check"});
  EXPECT_EQ(check.code, 6) << check;
  EXPECT_EQ(check.out, "");
  EXPECT_THAT(check.err, HasSubstr("n\\x00")) << "it does not say where";
  EXPECT_EQ(run({"store", "range"}).code, 6);
  contents.resize(contents.size() / 2);
  write_whole_file(path("store.db"), contents);
  refused(6, "store.db", {"types"});
}

TEST_F(CliBadInput, what_is_unknown_or_missing_in_a_command_line_is_named) {
  EXPECT_THAT(tool_refuses({"frobnicate"}).err, HasSubstr("no command frobnicate"));
  EXPECT_THAT(tool_refuses({"store", "frobnicate"}).err, HasSubstr("no command frobnicate"));
  EXPECT_THAT(tool_refuses({}).err, HasSubstr("a command is missing"));
  EXPECT_THAT(tool_refuses({"store"}).err, HasSubstr("a command is missing"));
  EXPECT_THAT(tool_refuses({"--frob", "types"}).err, HasSubstr("no option --frob"));
  EXPECT_THAT(tool_refuses({"ls", "Counter", "--frob"}).err, HasSubstr("no option --frob"));
  EXPECT_THAT(tool_refuses({"ls"}).err, HasSubstr("TYPE is required"));
  EXPECT_THAT(tool_refuses({"types", "Counter"}).err, HasSubstr("one argument too many: Counter"));
  EXPECT_THAT(tool_refuses({"ls", "Counter", "--limit"}).err, HasSubstr("--limit"));
  EXPECT_THAT(tool_refuses({"types", "--store"}).err, HasSubstr("--store"));
  EXPECT_THAT(tool_refuses({"completion", "tcsh"}).err, HasSubstr("tcsh"));
}

TEST_F(CliBadInput, a_count_or_a_time_of_the_wrong_shape_is_refused) {
  create_store();
  for (const char* count :
       {"-1", "+1", "1x", "0x10", "1.5", "", " 1", "ten", "18446744073709551616"}) {
    refused(2, "--count", {"stats", std::string("--count=") + count});
    refused(2, "--limit", {"ls", "Counter", std::string("--limit=") + count});
    refused(2, "--limit", {"queue", "Counter/x", std::string("--limit=") + count});
    refused(2, "--limit", {"store", "range", std::string("--limit=") + count});
    refused(2, "--count", {"store", "watch", "k", std::string("--count=") + count});
    refused(2, "--callers", {"bench", std::string("--callers=") + count});
  }
  for (const char* span : {"5x", "-1s", "1e3s", "s", "", "1 s", "infs", "nan", "1000000h", "5S"}) {
    const std::string text = span;
    refused(2, "--timeout", {"call", "Counter/x", "Add", "--force", "--timeout=" + text});
    refused(2, "--interval", {"stats", "--interval=" + text});
    refused(2, "--duration", {"bench", "--duration=" + text});
  }
  refused(2, "--interval", {"stats", "--interval", "1ms"});
  refused(2, "--interval", {"stats", "--interval", "forever"});
  refused(2, "--duration", {"bench", "--duration", "0"});
  refused(2, "--duration", {"bench", "--duration", "forever"});
  refused(2, "--callers", {"bench", "--callers", "0"});
  EXPECT_EQ(must({"store", "range"}), "") << "something was sent";
}

TEST_F(CliBadInput, an_output_that_cannot_be_written_is_reported_as_a_failure) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  create_store();
  for (const char* command : {"types --json", "store info", "stats --count 1 --interval 10ms",
                              "--help", "completion bash", "--version"}) {
    ProgramToStart shell{"/bin/sh"};
    shell.arguments = {"-c", std::string("exec \"$0\" --store \"$1\" ") + command + " >/dev/full",
                       SEMPER_PROGRAM, url()};
    ChildProcess tool(std::move(shell));
    EXPECT_EQ(tool.finish(), 1) << command;
    EXPECT_THAT(tool.errors(), HasSubstr("could not be written")) << command;
  }
}

}  // namespace
}  // namespace semper::testing
