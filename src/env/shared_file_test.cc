// Files beside a user's: whoever made them first, who may use the one may use the other.
#include "semper/env/internal/shared_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

// No such users are needed, only their numbers.
constexpr uid_t kOwner = 47110;
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
  const TemporaryFolder folder;
  const mode_t before = ::umask(077);
  const auto made = semper::internal::open_shared_file(folder.path("a"),
                                                       status_like(::geteuid(), ::getegid(), 0764));
  ::umask(before);
  ASSERT_TRUE(made) << made.error().to_string();
  ::close(*made);
  EXPECT_EQ(status_of(folder.path("a")).st_mode & 07777, 0664u);
  EXPECT_EQ(status_of(folder.path("a")).st_nlink, 1u);
}

TEST(SharedFile, one_that_is_there_is_opened_as_it_is) {
  const TemporaryFolder folder;
  const auto mine = status_like(::geteuid(), ::getegid(), 0600);
  const auto first = semper::internal::open_shared_file(folder.path("a"), mine);
  ASSERT_TRUE(first);
  ASSERT_EQ(::write(*first, "x", 1), 1);
  const auto second = semper::internal::open_shared_file(folder.path("a"), mine);
  ASSERT_TRUE(second);
  char byte = 0;
  EXPECT_EQ(::read(*second, &byte, 1), 1);
  ::close(*first);
  ::close(*second);
}

TEST(SharedFile, a_link_in_its_place_is_not_followed) {
  const TemporaryFolder folder;
  ASSERT_EQ(::symlink(folder.path("elsewhere").c_str(), folder.path("a").c_str()), 0);
  EXPECT_FALSE(semper::internal::open_shared_file(folder.path("a"), status_like(0, 0, 0600)));
  EXPECT_NE(::access(folder.path("elsewhere").c_str(), F_OK), 0);
}

TEST(SharedFile, root_gives_it_to_the_owner_and_the_group_of_its_model) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const TemporaryFolder folder;
  const auto made =
      semper::internal::open_shared_file(folder.path("a"), status_like(kOwner, kGroup, 0640));
  ASSERT_TRUE(made) << made.error().to_string();
  ::close(*made);
  EXPECT_EQ(status_of(folder.path("a")).st_uid, kOwner);
  EXPECT_EQ(status_of(folder.path("a")).st_gid, kGroup);
  EXPECT_EQ(status_of(folder.path("a")).st_mode & 07777, 0640u);
}

TEST(SharedFile, root_opens_that_of_another_user_in_a_sticky_folder) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const TemporaryFolder folder;
  ASSERT_EQ(::chmod(folder.path("").c_str(), 01777), 0);
  for (int round = 0; round < 2; ++round) {
    const auto made =
        semper::internal::open_shared_file(folder.path("a"), status_like(kOwner, kGroup, 0600));
    ASSERT_TRUE(made) << made.error().to_string() << " (fs.protected_regular?)";
    ::close(*made);
  }
}

}  // namespace
}  // namespace semper::testing
