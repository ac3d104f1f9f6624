// What is left in /dev/shm of processes that were killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

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

// In a child with a /dev/shm of its own, a tmpfs with these options: what opening the device says
// there, and which files it leaves; empty where that cannot be had here.
std::string said_with_memory(const std::string& path, const char* options, bool is_full) {
  int ends[2];
  if (::pipe(ends) != 0) return "";
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_ours = ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("none", "/dev/shm", "tmpfs", 0, options) == 0;
    if (!is_ours) ::_exit(1);
    if (is_full) {
      std::ofstream rest("/dev/shm/rest");
      while (rest << std::string(4096, 'x') << std::flush) {
      }
    }
    const auto opened = open_block_device(path, {.mode = IoMode::inline_blocking});
    std::string said = opened ? "opened" : opened.error().to_string();
    for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
      if (file.path().filename() != "rest") said += " LEFT " + file.path().string();
    }
    const bool is_told = ::write(ends[1], said.data(), said.size()) > 0;
    ::_exit(is_told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 4096> some{};
  for (ssize_t size = 0; (size = ::read(ends[0], some.data(), some.size())) > 0;) {
    said.append(some.data(), static_cast<std::size_t>(size));
  }
  ::close(ends[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  return said;
}

TEST_F(SharedMemoryTest, where_there_is_no_room_for_it_nothing_is_left_and_the_next_move_is_said) {
  const std::string full = said_with_memory(path_, "size=64k", true);
  if (full.empty()) GTEST_SKIP() << "no /dev/shm of one's own here";
  EXPECT_THAT(full, ::testing::StartsWith("exhausted: no room in /dev/shm"));
  EXPECT_THAT(full, ::testing::HasSubstr("--shm-size"));
  EXPECT_EQ(full.find("LEFT"), std::string::npos) << full;
  const std::string inodes = said_with_memory(path_, "nr_inodes=1", false);
  EXPECT_THAT(inodes, ::testing::StartsWith("exhausted: ")) << "it was called another user's";
  EXPECT_EQ(inodes.find("as one user"), std::string::npos) << inodes;
  const std::string read_only = said_with_memory(path_, "ro,size=64k", false);
  EXPECT_THAT(read_only, ::testing::HasSubstr("let this user write in /dev/shm"));
}

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
