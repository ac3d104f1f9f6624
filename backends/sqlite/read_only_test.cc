// Who may read a store and not write it: reads, and leaves no trace.
#include "read_only.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "semper/testing/child_process.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

// No such user is needed, only a number.
constexpr uid_t kReader = 47113;

std::string words_of(const Result<Store>& store) {
  return store ? "opened" : store.error().to_string();
}

// "URL": says what "key" holds, and what a commit gives.
SEMPER_CHILD(reads_as_somebody_else) {
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresgid(kReader, kReader, kReader), 0);
  ASSERT_EQ(::setresuid(kReader, kReader, kReader), 0);
  auto store = open_store_at(child_argument());
  if (!store) return say(store.error().to_string());
  const auto value = get(*store, "key");
  if (!value) return say(value.error().to_string());
  const auto written = put(*store, "key", "overwritten");
  say(value->value_or("nothing") + ", " + (written ? "written" : written.error().to_string()));
  EXPECT_TRUE(wait_for(store->close()));
}

SEMPER_CHILD(commits_and_is_killed) {
  const Store store = must_open(child_argument());
  ASSERT_TRUE(put(store, "key", "in the log"));
  say("done");
  ::pause();
}

class ReadOnly : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can act as several users";
    ASSERT_EQ(::chmod(place_.folder().c_str(), 0755), 0);
    const Store store = must_open(place_.url());
    ASSERT_TRUE(put(store, "key", "value"));
    ASSERT_TRUE(wait_for(store.close()));
  }

  // What somebody says who may only read.
  std::string read() const {
    ChildProcess child("reads_as_somebody_else", place_.url("access=read"));
    std::string said = child.read_line().value_or("");
    EXPECT_EQ(child.wait(), 0);
    return said;
  }

  TestPlace place_;
};

TEST_F(ReadOnly, a_store_that_nobody_has_open_is_read_and_nothing_is_made) {
  EXPECT_TRUE(read().starts_with("value, permission: ")) << read();
  EXPECT_NE(read().find("opened for reading"), std::string::npos) << read();
  EXPECT_EQ(place_.listing(), "store.db");
}

TEST_F(ReadOnly, a_store_that_is_in_use_is_read_as_it_is_now) {
  const Store store = must_open(place_.url());
  for (const char* value : {"first", "second"}) {
    ASSERT_TRUE(put(store, "key", value));
    EXPECT_TRUE(read().starts_with(std::string(value) + ", permission")) << read();
  }
  EXPECT_EQ(*get(store, "key"), "second");
  ASSERT_TRUE(wait_for(store.close()));
  EXPECT_EQ(place_.listing(), "store.db");
}

TEST_F(ReadOnly, what_a_crash_left_in_the_log_is_read) {
  ChildProcess writer("commits_and_is_killed", place_.url());
  ASSERT_EQ(writer.read_line(), "done");
  writer.kill_hard();
  EXPECT_EQ(writer.wait(), 128 + SIGKILL);
  EXPECT_TRUE(read().starts_with("in the log, permission")) << read();
}

TEST_F(ReadOnly, a_log_without_its_index_is_refused_with_who_can_read_it) {
  ChildProcess writer("commits_and_is_killed", place_.url());
  ASSERT_EQ(writer.read_line(), "done");
  writer.kill_hard();
  EXPECT_EQ(writer.wait(), 128 + SIGKILL);
  std::filesystem::remove(place_.file() + "-shm");
  EXPECT_TRUE(read().starts_with("permission: ")) << read();
  EXPECT_NE(read().find("open the store once"), std::string::npos) << read();
}

TEST_F(ReadOnly, a_file_that_may_not_be_read_is_named_with_its_owner) {
  ASSERT_EQ(::chmod(place_.file().c_str(), 0600), 0);
  EXPECT_NE(read().find("may not read the store's file " + place_.file() +
                        " (it belongs to user 0, group 0, mode 0600)"),
            std::string::npos)
      << read();
}

TEST_F(ReadOnly, a_folder_that_may_not_be_entered_is_named_and_not_called_missing) {
  ASSERT_EQ(::chmod(place_.folder().c_str(), 0700), 0);
  EXPECT_NE(read().find("may not enter the folder " + place_.folder()), std::string::npos)
      << read();
}

// The file is what it was, but for what somebody copies into it meanwhile.
TEST_F(ReadOnly, a_snapshot_without_a_lock_ends_when_the_file_is_written_to) {
  SqliteOptions options;
  options.path.file = place_.file();
  options.path.directory = place_.folder();
  auto backend = ReadOnlyBackend::open(options, {});
  ASSERT_TRUE(backend) << backend.error().to_string();
  const Store reader(*backend, {});
  auto before = reader.begin();
  ASSERT_EQ(*wait_for(before.get("key")), "value");
  {
    const Store writer = must_open(place_.url());
    ASSERT_TRUE(put(writer, "key", "another"));
    EXPECT_EQ(*wait_for(before.get("key")), "value") << "the log alone has changed";
    EXPECT_EQ(*get(reader, "key"), "another") << "a new snapshot reads the log, too";
    ASSERT_TRUE(wait_for(writer.close()));
  }
  const auto after = wait_for(before.get("key"));
  ASSERT_FALSE(after) << **after;
  EXPECT_EQ(after.error().kind(), ErrorKind::conflict) << after.error().to_string();
  EXPECT_EQ(*get(reader, "key"), "another");
  EXPECT_TRUE(wait_for(reader.backend().check()));
}

TEST_F(ReadOnly, a_handle_for_reading_commits_nothing_even_where_its_user_may_write) {
  const Store writer = must_open(place_.url());
  const Store reader = must_open(place_.url("access=read"));
  ASSERT_TRUE(put(writer, "key", "news"));
  EXPECT_EQ(*get(reader, "key"), "news");
  EXPECT_EQ(put(reader, "key", "no").error().kind(), ErrorKind::permission);
  EXPECT_EQ(*get(writer, "key"), "news");
  EXPECT_EQ(reader.url(), place_.url());
}

TEST(Access, reading_or_asking_for_an_existing_store_makes_none) {
  const TestPlace place;
  for (const char* access : {"access=read", "access=existing"}) {
    const auto absent = open_store_at(place.url(access));
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().kind(), ErrorKind::not_found) << words_of(absent);
    EXPECT_EQ(place.listing(), "");
  }
  write_file(place.file(), "");
  for (const char* access : {"access=read", "access=existing"}) {
    const auto empty = open_store_at(place.url(access));
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().kind(), ErrorKind::not_found) << words_of(empty);
    EXPECT_NE(empty.error().message().find("0 bytes"), std::string::npos) << words_of(empty);
    EXPECT_EQ(contents_of(place.file()), "");
    EXPECT_EQ(place.listing(), "store.db");
  }
  EXPECT_TRUE(open_store_at(place.url())) << "whoever does not say how may make one";
  EXPECT_EQ(open_store_at(place.url("access=rw")).error().kind(), ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace semper::sqlite
