// What is left in /dev/shm of processes that were killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "file_worlds_test_support.h"
#include "semper/base/bytes.h"
#include "semper/block/file_block_device.h"

namespace semper {
namespace {

constexpr uid_t kStranger = 12'345;

// The memory of the device at this path, if it is there.
std::string memory_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  Bytes inode;
  append_big_endian_u64(inode, status.st_ino);
  for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string memory = file.path().string();
    if (memory.find("/semper-") != std::string::npos &&
        memory.find("-" + to_hex(inode)) != std::string::npos) {
      return memory;
    }
  }
  return "";
}

class SharedMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(create_block_file(path_, {.size = 1 << 20})); }

  static Result<std::unique_ptr<BlockDevice>> open(const std::string& path) {
    return open_block_device(path, {.mode = IoMode::inline_blocking});
  }
  // A process that has the device open and is killed; what it has left, which `then` still found
  // there: other tests' processes tidy up too.
  template <class Then>
  static std::string leave_memory_of(const std::string& path, Then then) {
    for (int attempt = 0; attempt < 50; ++attempt) {
      const pid_t child = ::fork();
      if (child == 0) {
        auto device = open(path);
        static_cast<void>(device->release());
        ::_exit(device ? 0 : 1);
      }
      int status = 0;
      EXPECT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
      const std::string left = memory_of(path);
      if (!left.empty() && then(left)) return left;
    }
    ADD_FAILURE() << "nothing was left";
    return "";
  }
  static std::string leave_memory_of(const std::string& path) {
    return leave_memory_of(path, [](const std::string&) { return true; });
  }
  static std::string leave_a_strangers_memory_of(const std::string& path) {
    return leave_memory_of(path, [](const std::string& left) {
      return ::chown(left.c_str(), kStranger, kStranger) == 0;
    });
  }

  const testing::TemporaryFolder folder_{testing::TemporaryFolder::Place::beside_program};
  std::string path_ = folder_.path("device");
};

TEST_F(SharedMemoryTest, a_file_whose_inode_had_another_life_is_locked_out_by_what_that_left) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be two users";
  struct stat before {};
  ASSERT_EQ(::stat(path_.c_str(), &before), 0);
  const std::string left = leave_a_strangers_memory_of(path_);
  std::filesystem::remove(path_);
  struct stat after {};
  for (int attempt = 0; attempt < 100 && after.st_ino != before.st_ino; ++attempt) {
    if (attempt > 0) path_ += "x";
    ASSERT_TRUE(create_block_file(path_, {.size = 1 << 20}));
    ASSERT_EQ(::stat(path_.c_str(), &after), 0);
  }
  if (after.st_ino != before.st_ino) GTEST_SKIP() << "this file system uses no inode again";
  const auto device = open(path_);
  ASSERT_TRUE(device) << device.error().to_string();
  EXPECT_FALSE(std::filesystem::exists(left));
}

TEST_F(SharedMemoryTest, what_a_stranger_left_of_a_device_keeps_root_out) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be two users";
  const std::string left = leave_a_strangers_memory_of(path_);
  const auto device = open(path_);
  ASSERT_TRUE(device) << device.error().to_string();
  struct stat status {};
  ASSERT_EQ(::stat(left.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0u);
}

TEST_F(SharedMemoryTest, what_killed_processes_left_is_removed_and_what_is_in_use_stays) {
  const std::string left = leave_memory_of(path_);
  const std::string used_path = folder_.path("used");
  ASSERT_TRUE(create_block_file(used_path, {.size = 1 << 20}));
  const auto used = open(used_path);
  ASSERT_TRUE(used);
  EXPECT_FALSE(std::filesystem::exists(left)) << left;
  const std::string other_path = folder_.path("other");
  ASSERT_TRUE(create_block_file(other_path, {.size = 1 << 20}));
  const auto other = open(other_path);
  ASSERT_TRUE(other);
  // The words of a device are the same for all who have it open: nobody took its memory away.
  const auto beside = open(used_path);
  ASSERT_TRUE(beside);
  (*used)->companion()->word(3).store(17);
  EXPECT_EQ((*beside)->companion()->word(3).load(), 17u);
}

}  // namespace
}  // namespace semper
