// store backup: a copy of the store in use.
#include <filesystem>

#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

class CliStoreBackup : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    create_store();
    must({"store", "set", "greeting", "hello", "--as", "text"});
  }
  std::string copy() const { return path("copy.db"); }
};

TEST_F(CliStoreBackup, a_copy_can_be_opened_and_has_what_was_there) {
  EXPECT_THAT(must({"store", "backup", copy()}), HasSubstr("1 keys"));
  must({"store", "set", "greeting", "changed", "--as", "text"});
  const auto there = run_tool({"--store", "sqlite:" + copy(), "store", "get", "greeting", "--as",
                               "text"});
  EXPECT_EQ(there.out, "hello\n") << there;
  EXPECT_EQ(run_tool({"--store", "sqlite:" + copy(), "store", "check"}).code, 0);
  EXPECT_EQ(run_tool({"--store", "sqlite:" + copy(), "store", "set", "a", "1"}).code, 0);
}

TEST_F(CliStoreBackup, json_says_what_was_copied) {
  const auto report = must_json({"store", "backup", copy()});
  EXPECT_EQ(report["path"], copy());
  EXPECT_EQ(report["bytes"], std::filesystem::file_size(copy()));
  EXPECT_GE(report["version"], 1);
  EXPECT_THAT(std::string(report["checked"]), HasSubstr("match their checksums"));
}

TEST_F(CliStoreBackup, a_file_that_is_there_is_not_overwritten) {
  write_whole_file(copy(), "precious");
  refused(1, "is there already", {"store", "backup", copy()});
  EXPECT_EQ(read_whole_file(copy()), "precious");
  refused(1, "is there already", {"store", "backup", path("store.db")});
  refused(3, "", {"store", "backup", path("none/copy.db")});
  EXPECT_EQ(must({"store", "get", "greeting", "--as", "text"}), "hello\n");
}

TEST_F(CliStoreBackup, the_log_of_a_store_is_shown_by_info) {
  const auto info = must_json({"store", "info"});
  EXPECT_EQ(info["statistics"]["wal_held_by_pid"], 0);
  EXPECT_GE(info["statistics"]["wal_file_bytes"], 0);
}

}  // namespace
}  // namespace semper::testing
