// semper record: one entity into a file, which a test loads.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "hosted.h"
#include "semper/server/recording.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

class CliRecord : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    create_store();
    must({"cast", "Counter/page/home", "Add", "[1]", "--force"});
    must({"cast", "Counter/page/home", "Add", "[2]", "--force"});
  }
  std::string file() const { return path("home.jsonl"); }
};

TEST_F(CliRecord, a_recording_can_be_read_again_and_is_private_to_its_owner) {
  EXPECT_THAT(must({"record", "Counter/page/home", "--output", file()}),
              HasSubstr("Counter/page/home is recorded in"));
  const auto recording = recording_from_text(read_whole_file(file()));
  ASSERT_TRUE(recording) << recording.error().to_string();
  EXPECT_EQ(recording->entity.to_string(), "Counter/page/home");
  EXPECT_EQ(recording->store, url());
  struct stat made {};
  ASSERT_EQ(::stat(file().c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600u) << "others can read what states say";
}

TEST_F(CliRecord, without_a_file_it_goes_to_the_standard_output) {
  const std::string text = must({"record", "Counter/page/home"});
  EXPECT_TRUE(recording_from_text(text));
  EXPECT_THAT(text, HasSubstr(R"("content":[2])"));
  const auto lines = must_json_lines({"record", "Counter/page/home"});
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines[0]["semper_recording"], 1);
  EXPECT_EQ(lines.back()["end"], lines.size() - 2);
}

TEST_F(CliRecord, a_file_that_is_there_is_replaced_only_with_force) {
  write_whole_file(file(), "mine");
  refused(1, "--force", {"record", "Counter/page/home", "--output", file()});
  EXPECT_EQ(read_whole_file(file()), "mine");
  must({"record", "Counter/page/home", "--output", file(), "--force"});
  EXPECT_TRUE(recording_from_text(read_whole_file(file())));
  refused(2, "is not a file", {"record", "Counter/page/home", "--output", folder_, "--force"});
}

TEST_F(CliRecord, a_queue_that_is_cut_short_is_reported) {
  const Ran ran = run({"record", "Counter/page/home", "--output", file(), "--limit", "1"});
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_THAT(ran.err, HasSubstr("1 messages at the end of the queue were left out"));
  EXPECT_EQ(must_json({"record", "Counter/page/home", "--output", file(), "--force", "--limit",
                       "0"})["left_out"],
            0);
}

TEST_F(CliRecord, a_store_that_may_only_be_read_can_be_recorded) {
  const Ran ran = run_tool(
      {"--store", url() + "?access=read", "record", "Counter/page/home", "--output", file()});
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_TRUE(recording_from_text(read_whole_file(file())));
}

// Whether there is a file of a recording that is being written.
bool has_part(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(".part-") != std::string::npos) return true;
  }
  return false;
}

TEST_F(CliRecord, one_that_is_ended_by_a_signal_while_it_writes_leaves_no_part_of_a_file) {
  const std::string long_content = "[\"" + std::string(100'000, 'x') + "\"]";
  for (int i = 0; i < 20; ++i) must({"cast", "Counter/page/home", "Add", long_content, "--force"});
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    bool was_frozen = false;
    for (int attempt = 0; attempt < 20 && !was_frozen; ++attempt) {
      std::filesystem::remove(file());
      auto tool = start({"record", "Counter/page/home", "--output", file()});
      EXPECT_TRUE(wait_until([&] { return has_part(folder_) || !tool.is_running(); }));
      was_frozen = tool.freeze() && has_part(folder_);
      if (was_frozen) tool.send_signal(number);
      tool.send_signal(SIGCONT);
      const int code = tool.finish();
      EXPECT_FALSE(has_part(folder_)) << "signal " << number;
      if (std::filesystem::exists(file())) {
        EXPECT_EQ(code, 0) << "it was done already";
        EXPECT_TRUE(recording_from_text(read_whole_file(file())));
      } else {
        EXPECT_EQ(code, 1) << tool.errors();
        EXPECT_THAT(tool.errors(), HasSubstr("interrupted"));
      }
    }
  }
}

TEST_F(CliRecord, what_is_not_there_leaves_no_file) {
  refused(3, "`semper ls Counter`", {"record", "Counter/other", "--output", file()});
  EXPECT_NE(::access(file().c_str(), F_OK), 0);
  refused(2, "TYPE/ID", {"record", "Counter", "--output", file()});
  refused(3, "", {"record", "Counter/page/home", "--output", path("absent/home.jsonl")});
}

}  // namespace
}  // namespace semper::testing
