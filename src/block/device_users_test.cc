// One device, several users: whoever may write the file shares its memory.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "file_worlds_test_support.h"
#include "semper/block/file_block_device.h"

namespace semper::testing {
namespace {

// No such users are needed, only their numbers.
constexpr uid_t kOwner = 47110;
constexpr uid_t kColleague = 47111;
constexpr uid_t kStranger = 47113;
constexpr gid_t kGroup = 47112;

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
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
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

  const TemporaryFolder folder_{TemporaryFolder::Place::beside_program};
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

TEST_F(DeviceUsers, whoever_may_not_write_it_does_not_get_its_memory) {
  ASSERT_EQ(::chmod(file_.c_str(), 0664), 0);
  const auto owner = open_as(kOwner, kGroup);
  ASSERT_EQ(owner->read_line(), "word 0 is 1");
  const auto stranger = open_as(kStranger, kStranger);
  EXPECT_TRUE(stranger->read_line().value_or("").starts_with("permission"));
}

}  // namespace
}  // namespace semper::testing
