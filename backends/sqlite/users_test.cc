// Several users with one store: who came first shuts nobody out.
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "semper/testing/child_process.h"
#include "sidecar.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

// No such users are needed, only their numbers.
constexpr uid_t kService = 47110;
constexpr uid_t kColleague = 47111;
constexpr gid_t kGroup = 47112;

// "USER GROUP UMASK URL"; ends by itself, or says what went wrong.
void work_as_told(bool stay) {
  std::istringstream words(child_argument());
  uid_t user = 0;
  gid_t group = 0;
  mode_t mask = 0;
  std::string url;
  words >> user >> group >> mask >> url;
  ::umask(mask);
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresgid(group, group, group), 0);
  ASSERT_EQ(::setresuid(user, user, user), 0);
  auto store = open_store_at(url);
  if (!store) return say(store.error().to_string());
  const auto done = put(*store, "user" + std::to_string(user), "was here");
  say(done ? "ok" : done.error().to_string());
  if (stay) ::pause();
  EXPECT_TRUE(wait_for(store->close()));
}

SEMPER_CHILD(commits_as_a_user) {
  work_as_told(false);
}

SEMPER_CHILD(commits_as_a_user_and_stays) {
  work_as_told(true);
}

class Users : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can act as several users";
    ASSERT_EQ(::chown(place_.folder().c_str(), kService, kGroup), 0);
    ASSERT_EQ(::chmod(place_.folder().c_str(), 0755), 0);
  }

  ChildProcess start(const std::string& role, uid_t user, gid_t group, mode_t mask = 022) const {
    return ChildProcess(role, std::to_string(user) + " " + std::to_string(group) + " " +
                                  std::to_string(mask) + " " + place_.url());
  }
  // What a process of that user says that opens the store, commits and closes.
  std::string commit_as(uid_t user, gid_t group = kGroup) const {
    auto child = start("commits_as_a_user", user, group);
    const std::string said = child.read_line().value_or("");
    EXPECT_EQ(child.wait(), 0);
    return said;
  }
  struct stat status_of(const std::string& suffix) const {
    struct stat status {};
    EXPECT_EQ(::stat((place_.file() + suffix).c_str(), &status), 0) << suffix;
    return status;
  }

  TestPlace place_;
};

TEST_F(Users, a_command_of_root_does_not_shut_the_service_out) {
  ASSERT_EQ(commit_as(kService), "ok");
  const Store roots = must_open(place_.url());
  ASSERT_TRUE(put(roots, "root", "looks"));
  for (const char* suffix : {"-semper", "-wal", "-shm"}) {
    EXPECT_EQ(status_of(suffix).st_uid, kService) << suffix;
    EXPECT_EQ(status_of(suffix).st_gid, kGroup) << suffix;
    EXPECT_EQ(status_of(suffix).st_mode, status_of("").st_mode) << suffix;
  }
  EXPECT_EQ(commit_as(kService), "ok");
  EXPECT_TRUE(put(roots, "root", "is still there"));
}

TEST_F(Users, a_command_of_root_that_was_killed_does_not_shut_the_service_out) {
  ASSERT_EQ(commit_as(kService), "ok");
  auto root = start("commits_as_a_user_and_stays", 0, 0);
  ASSERT_EQ(root.read_line(), "ok");
  root.kill_hard();
  EXPECT_EQ(root.wait(), 128 + SIGKILL);
  EXPECT_EQ(commit_as(kService), "ok");
}

TEST_F(Users, a_sidecar_that_an_older_version_left_to_root_does_not_shut_the_service_out) {
  ASSERT_EQ(commit_as(kService), "ok");
  write_file(place_.file() + "-semper", std::string(sizeof(SidecarLayout), '\xff'));
  ASSERT_EQ(::chmod((place_.file() + "-semper").c_str(), 0644), 0);
  EXPECT_EQ(commit_as(kService), "ok");
}

TEST_F(Users, a_sidecar_of_another_user_that_is_in_use_is_named_with_its_user) {
  ASSERT_EQ(commit_as(kService), "ok");
  const Store roots = must_open(place_.url());
  ASSERT_EQ(::chown((place_.file() + "-semper").c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod((place_.file() + "-semper").c_str(), 0644), 0);
  const std::string said = commit_as(kService);
  EXPECT_TRUE(said.starts_with("permission")) << said;
  EXPECT_NE(said.find("-semper belongs to user 0"), std::string::npos) << said;
}

TEST_F(Users, root_opens_a_store_that_a_service_has_open_in_a_sticky_folder) {
  std::ifstream setting("/proc/sys/fs/protected_regular");
  std::string value;
  setting >> value;
  std::cout << "fs.protected_regular is " << value << "\n";
  ASSERT_EQ(::chmod(place_.folder().c_str(), 01777), 0);
  ASSERT_EQ(::chown(place_.folder().c_str(), 0, 0), 0);
  auto service = start("commits_as_a_user_and_stays", kService, kGroup);
  ASSERT_EQ(service.read_line(), "ok");
  const auto store = open_store_at(place_.url());
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_TRUE(put(*store, "root", "looks"));
}

TEST_F(Users, a_group_shares_a_store_whoever_opens_it_first) {
  ASSERT_EQ(::chmod(place_.folder().c_str(), 02770), 0);
  {
    auto founder = start("commits_as_a_user", kService, kGroup, 007);
    ASSERT_EQ(founder.read_line(), "ok");
    ASSERT_EQ(founder.wait(), 0);
  }
  ASSERT_EQ(::chmod(place_.file().c_str(), 0660), 0);
  for (const uid_t first : {kService, kColleague}) {
    auto one = start("commits_as_a_user_and_stays", first, kGroup, 007);
    ASSERT_EQ(one.read_line(), "ok");
    EXPECT_EQ(commit_as(first == kService ? kColleague : kService), "ok") << first;
  }
}

TEST_F(Users, an_empty_file_that_becomes_a_store_keeps_its_owner_and_its_mode) {
  write_file(place_.file(), "");
  ASSERT_EQ(::chown(place_.file().c_str(), kService, kGroup), 0);
  ASSERT_EQ(::chmod(place_.file().c_str(), 0640), 0);
  const Store roots = must_open(place_.url());
  EXPECT_EQ(status_of("").st_uid, kService);
  EXPECT_EQ(status_of("").st_gid, kGroup);
  EXPECT_EQ(status_of("").st_mode & 0777, 0640u);
  EXPECT_EQ(commit_as(kService), "ok");
}

TEST_F(Users, a_user_who_may_only_read_the_store_is_told_so) {
  ASSERT_EQ(commit_as(kService), "ok");
  const std::string said = commit_as(kColleague, kColleague);
  EXPECT_TRUE(said.starts_with("permission")) << said;
  EXPECT_NE(said.find(place_.folder()), std::string::npos) << said;
}

SEMPER_CHILD(makes_a_backup_where_it_may_only_write) {
  const std::string folder = child_argument();
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresgid(kGroup, kGroup, kGroup), 0);
  ASSERT_EQ(::setresuid(kService, kService, kService), 0);
  const auto store = open_store_at("sqlite:" + folder + "/store.db");
  if (!store) return say(store.error().to_string());
  const auto made = wait_for(store->backend().backup(folder + "/drop/copy.db", {}));
  say(made ? "made" : made.error().to_string());
  EXPECT_TRUE(wait_for(store->close()));
}

TEST_F(Users, a_backup_whose_folder_may_not_be_read_leaves_nothing_of_its_name) {
  const std::string drop = place_.folder() + "/drop";
  ASSERT_EQ(::mkdir(drop.c_str(), 0755), 0);
  ASSERT_EQ(::chown(drop.c_str(), kService, kGroup), 0);
  ASSERT_EQ(::chmod(drop.c_str(), 0300), 0);
  ChildProcess child("makes_a_backup_where_it_may_only_write", place_.folder());
  const std::string said = child.read_line().value_or("");
  EXPECT_EQ(child.wait(), 0);
  EXPECT_NE(said.find("permission"), std::string::npos) << said;
  EXPECT_TRUE(std::filesystem::is_empty(drop)) << said;
}

}  // namespace
}  // namespace semper::sqlite
