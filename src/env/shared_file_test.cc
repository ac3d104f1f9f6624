// Files beside a user's: whoever made them first, who may use the one may use the other.
#include "semper/env/shared_file.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "file_worlds_test_support.h"
#include "semper/env/file_block_device.h"

namespace semper::testing {
namespace {

// No such users are needed, only their numbers.
constexpr uid_t kOwner = 47110;
constexpr uid_t kColleague = 47111;
constexpr uid_t kStranger = 47113;
constexpr gid_t kGroup = 47112;

struct stat status_like(uid_t user, gid_t group, mode_t mode) {
  struct stat status {};
  status.st_uid = user;
  status.st_gid = group;
  status.st_mode = S_IFREG | mode;
  return status;
}

struct stat status_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status;
}

TEST(SharedFile, one_that_was_made_has_the_mode_of_its_model_whatever_the_umask) {
  const ScratchFolder folder;
  const mode_t before = ::umask(077);
  const auto made =
      internal::open_shared_file(folder.path("a"), status_like(::geteuid(), ::getegid(), 0764));
  ::umask(before);
  ASSERT_TRUE(made) << made.error().to_string();
  ::close(*made);
  EXPECT_EQ(status_of(folder.path("a")).st_mode & 07777, 0664u);
  EXPECT_EQ(status_of(folder.path("a")).st_nlink, 1u);
}

TEST(SharedFile, one_that_is_there_is_opened_as_it_is) {
  const ScratchFolder folder;
  const auto mine = status_like(::geteuid(), ::getegid(), 0600);
  const auto first = internal::open_shared_file(folder.path("a"), mine);
  ASSERT_TRUE(first);
  ASSERT_EQ(::write(*first, "x", 1), 1);
  const auto second = internal::open_shared_file(folder.path("a"), mine);
  ASSERT_TRUE(second);
  char byte = 0;
  EXPECT_EQ(::read(*second, &byte, 1), 1);
  ::close(*first);
  ::close(*second);
}

TEST(SharedFile, a_link_in_its_place_is_not_followed) {
  const ScratchFolder folder;
  ASSERT_EQ(::symlink(folder.path("elsewhere").c_str(), folder.path("a").c_str()), 0);
  EXPECT_FALSE(internal::open_shared_file(folder.path("a"), status_like(0, 0, 0600)));
  EXPECT_NE(::access(folder.path("elsewhere").c_str(), F_OK), 0);
}

TEST(SharedFile, root_gives_it_to_the_owner_and_the_group_of_its_model) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const ScratchFolder folder;
  const auto made = internal::open_shared_file(folder.path("a"), status_like(kOwner, kGroup, 0640));
  ASSERT_TRUE(made) << made.error().to_string();
  ::close(*made);
  EXPECT_EQ(status_of(folder.path("a")).st_uid, kOwner);
  EXPECT_EQ(status_of(folder.path("a")).st_gid, kGroup);
  EXPECT_EQ(status_of(folder.path("a")).st_mode & 07777, 0640u);
}

TEST(SharedFile, root_opens_that_of_another_user_in_a_sticky_folder) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const ScratchFolder folder;
  ASSERT_EQ(::chmod(folder.path("").c_str(), 01777), 0);
  for (int round = 0; round < 2; ++round) {
    const auto made =
        internal::open_shared_file(folder.path("a"), status_like(kOwner, kGroup, 0600));
    ASSERT_TRUE(made) << made.error().to_string() << " (fs.protected_regular?)";
    ::close(*made);
  }
}

// "USER GROUP FILE": opens the device, notifies the other side, stays.
SEMPER_CHILD(opens_a_device_as_a_user) {
  std::istringstream words(child_argument());
  uid_t user = 0;
  gid_t group = 0;
  std::string file;
  words >> user >> group >> file;
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresgid(group, group, group), 0);
  ASSERT_EQ(::setresuid(user, user, user), 0);
  const auto device = open_block_device(file);
  if (!device) return say(device.error().to_string());
  (*device)->companion()->word(0).fetch_add(1);
  say("word 0 is " + std::to_string((*device)->companion()->word(0).load()));
  ::pause();
}

class DeviceUsers : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can act as several users";
    ASSERT_EQ(::chmod(folder_.path("").c_str(), 0755), 0);
    const int made = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(made, 0);
    ASSERT_EQ(::ftruncate(made, 1 << 16), 0);
    ASSERT_EQ(::fchown(made, kOwner, kGroup), 0);
    ASSERT_EQ(::fchmod(made, 0660), 0);
    ::close(made);
  }
  // The last one to close takes the memory away that the killed ones left.
  void TearDown() override { static_cast<void>(open_block_device(file_)); }

  std::unique_ptr<ChildProcess> open_as(uid_t user, gid_t group) const {
    return std::make_unique<ChildProcess>(
        "opens_a_device_as_a_user",
        std::to_string(user) + " " + std::to_string(group) + " " + file_);
  }

  ScratchFolder folder_;
  std::string file_ = folder_.path("ring.img");
};

TEST_F(DeviceUsers, owner_group_and_root_share_its_memory_whoever_comes_first) {
  struct User {
    uid_t user;
    gid_t group;
  };
  const User users[] = {{kOwner, kGroup}, {kColleague, kGroup}, {0, 0}};
  for (const User& first : users) {
    const auto one = open_as(first.user, first.group);
    ASSERT_EQ(one->read_line(), "word 0 is 1") << first.user;
    std::vector<std::unique_ptr<ChildProcess>> others;
    int count = 1;
    for (const User& other : users) {
      others.push_back(open_as(other.user, other.group));
      EXPECT_EQ(others.back()->read_line(), "word 0 is " + std::to_string(++count))
          << other.user << " after " << first.user;
    }
  }
}

TEST_F(DeviceUsers, who_may_not_write_it_does_not_get_its_memory) {
  ASSERT_EQ(::chmod(file_.c_str(), 0664), 0);
  const auto owner = open_as(kOwner, kGroup);
  ASSERT_EQ(owner->read_line(), "word 0 is 1");
  const auto stranger = open_as(kStranger, kStranger);
  EXPECT_TRUE(stranger->read_line().starts_with("permission"));
}

}  // namespace
}  // namespace semper::testing
