// The attacker itself: what was flushed survives a power cut, what was not is lost under some seed,
// and the kernel's caches change nothing about either.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "disk.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

constexpr int kSeeds = 24;

class PowerCutFileSystem : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto obstacle = powercut_obstacle()) GTEST_SKIP() << *obstacle;
    folder_ = std::make_unique<TemporaryFolder>();
  }

  // A fresh file system.
  void begin(std::uint64_t seed, Names names = Names::posix) {
    disk_.reset();
    disk_ = std::make_unique<Disk>(folder_->path(), names, seed);
  }
  std::string path(const std::string& name) const { return disk_->path(name); }
  void cut() {
    disk_->cut_now();
    disk_->remount();
  }

  int open_file(const std::string& name, int flags = 0) {
    const int file = ::open(path(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0644);
    EXPECT_GE(file, 0) << name << ": " << std::strerror(errno);
    return file;
  }
  void put(int file, const std::string& text, off_t at = 0) {
    ASSERT_EQ(::pwrite(file, text.data(), text.size(), at), static_cast<ssize_t>(text.size()))
        << std::strerror(errno);
  }
  void sync_names() {
    const int folder = ::open(path(".").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::fsync(folder), 0);
    ::close(folder);
  }
  // Nothing: no such file.
  std::optional<std::string> content(const std::string& name) {
    std::ifstream file(path(name), std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::unique_ptr<TemporaryFolder> folder_;
  std::unique_ptr<Disk> disk_;
};

TEST_F(PowerCutFileSystem,
       what_was_flushed_survives_every_cut_and_what_was_not_is_lost_under_some) {
  std::set<bool> kept;
  std::set<bool> torn;
  const std::string old_text(2 * kPageBytes, 'a');
  const std::string new_text(2 * kPageBytes, 'b');
  for (int seed = 0; seed < kSeeds; ++seed) {
    begin(static_cast<std::uint64_t>(seed));
    const int file = open_file("f");
    put(file, old_text);
    ASSERT_EQ(::fsync(file), 0);
    sync_names();
    put(file, new_text);
    cut();
    ::close(file);
    const auto left = content("f");
    ASSERT_TRUE(left.has_value());
    ASSERT_EQ(left->size(), old_text.size());
    ASSERT_EQ(left->find_first_not_of("ab"), std::string::npos);
    kept.insert(*left == new_text);
    torn.insert(left->substr(0, kPageBytes).find('a') != std::string::npos &&
                left->substr(0, kPageBytes).find('b') != std::string::npos);
  }
  EXPECT_EQ(kept.size(), 2u) << "what is not flushed is at times there, and at times not";
  EXPECT_TRUE(torn.contains(true)) << "a page is torn at times";
}

TEST_F(PowerCutFileSystem, each_way_of_flushing_makes_its_own_bytes_durable) {
  const std::string text(kPageBytes, 'x');
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    begin(seed);
    const int plain = open_file("fdatasync");
    put(plain, text);
    ASSERT_EQ(::fdatasync(plain), 0);
    const int synchronous = open_file("o_sync", O_SYNC);
    put(synchronous, text);
    const int data_synchronous = open_file("o_dsync", O_DSYNC);
    put(data_synchronous, text);
    const int single = open_file("rwf_dsync");
    iovec part{const_cast<char*>(text.data()), text.size()};
    ASSERT_EQ(::pwritev2(single, &part, 1, 0, RWF_DSYNC), static_cast<ssize_t>(text.size()));
    const int direct = open_file("direct", O_DIRECT);
    void* const aligned = std::aligned_alloc(kPageBytes, kPageBytes);
    std::memset(aligned, 'x', kPageBytes);
    ASSERT_EQ(::pwrite(direct, aligned, kPageBytes, 0), static_cast<ssize_t>(kPageBytes));
    ASSERT_EQ(::fdatasync(direct), 0);
    std::free(aligned);
    const int mapped = open_file("msync");
    ASSERT_EQ(::ftruncate(mapped, kPageBytes), 0);
    void* const memory = ::mmap(nullptr, kPageBytes, PROT_WRITE, MAP_SHARED, mapped, 0);
    ASSERT_NE(memory, MAP_FAILED);
    std::memset(memory, 'x', kPageBytes);
    ASSERT_EQ(::msync(memory, kPageBytes, MS_SYNC), 0);
    sync_names();
    cut();
    ::munmap(memory, kPageBytes);
    for (const int file : {plain, synchronous, data_synchronous, single, direct, mapped}) {
      ::close(file);
    }
    for (const char* name : {"fdatasync", "o_sync", "o_dsync", "rwf_dsync", "direct", "msync"}) {
      EXPECT_EQ(content(name), text) << name;
    }
  }
}

// Neither is a flush of the whole file taken for the kernel's one behind a durable write.
TEST_F(PowerCutFileSystem, a_durable_write_flushes_its_own_range_and_a_flush_behind_it_everything) {
  const std::string text(kPageBytes, 'x');
  iovec part{const_cast<char*>(text.data()), text.size()};
  int lost = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    begin(seed);
    const int range = open_file("range");
    const int whole = open_file("whole");
    for (const int file : {range, whole}) {
      put(file, std::string(2 * kPageBytes, 'o'));
      ASSERT_EQ(::fsync(file), 0);
    }
    sync_names();
    for (const int file : {range, whole}) {
      put(file, text, kPageBytes);
      ASSERT_EQ(::pwritev2(file, &part, 1, 0, RWF_DSYNC), static_cast<ssize_t>(text.size()));
    }
    ASSERT_EQ(::fdatasync(whole), 0);
    cut();
    ::close(range);
    ::close(whole);
    EXPECT_EQ(content("whole"), text + text);
    const auto left = content("range");
    ASSERT_TRUE(left && left->size() == 2 * kPageBytes);
    EXPECT_EQ(left->substr(0, kPageBytes), text);
    if (left->substr(kPageBytes) != text) ++lost;
  }
  EXPECT_GT(lost, 0) << "a durable write made others durable";
}

TEST_F(PowerCutFileSystem, sync_file_range_and_sync_make_nothing_durable) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    begin(seed);
    const int file = open_file("f");
    ASSERT_EQ(::fsync(file), 0);
    sync_names();
    put(file, "text");
    ASSERT_EQ(::sync_file_range(
                  file, 0, 0,
                  SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER),
              0);
    ASSERT_EQ(::syncfs(file), 0);
    cut();
    ::close(file);
    if (content("f") != "text") ++lost;
  }
  EXPECT_GT(lost, 0);
}

TEST_F(PowerCutFileSystem, names_are_lost_kept_or_reordered_unless_their_folder_was_flushed) {
  std::set<std::string> seen;
  for (const auto names : {Names::posix, Names::journaled}) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      begin(seed, names);
      ::close(open_file("durable"));
      sync_names();
      ::close(open_file("one"));
      ::close(open_file("two"));
      ASSERT_EQ(::rename(path("durable").c_str(), path("renamed").c_str()), 0);
      cut();
      std::string left;
      for (const char* name : {"one", "two", "durable", "renamed"}) {
        if (content(name)) left += std::string(name) + " ";
      }
      const bool is_old = content("durable").has_value();
      EXPECT_NE(is_old, content("renamed").has_value()) << left;
      if (names == Names::journaled && content("two")) {
        EXPECT_TRUE(content("one")) << left;
      }
      if (names == Names::journaled && !is_old) {
        EXPECT_TRUE(content("two")) << left;
      }
      seen.insert((names == Names::posix ? "posix " : "journaled ") + left);
    }
  }
  EXPECT_TRUE(seen.contains("posix one two renamed ")) << "all is kept at times";
  EXPECT_TRUE(seen.contains("posix durable ")) << "all is lost at times";
  EXPECT_TRUE(seen.contains("journaled one durable ") ||
              seen.contains("journaled one two durable "));
  EXPECT_TRUE(seen.contains("posix two durable ") || seen.contains("posix renamed ") ||
              seen.contains("posix two renamed "))
      << "a later change is at times there without an earlier one";
}

TEST_F(PowerCutFileSystem, a_flush_of_a_file_makes_its_name_durable_only_in_the_journaled_world) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    for (const auto names : {Names::posix, Names::journaled}) {
      begin(seed, names);
      const int file = open_file("f");
      put(file, "text");
      ASSERT_EQ(::fsync(file), 0);
      ::close(file);
      cut();
      if (names == Names::journaled) {
        EXPECT_EQ(content("f"), "text");
      }
      if (names == Names::posix && !content("f")) ++lost;
    }
  }
  EXPECT_GT(lost, 0);
}

TEST_F(PowerCutFileSystem, a_removed_name_comes_back_with_what_was_flushed) {
  int back = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    begin(seed);
    const int file = open_file("f");
    put(file, "text");
    ASSERT_EQ(::fsync(file), 0);
    ::close(file);
    sync_names();
    ASSERT_EQ(::unlink(path("f").c_str()), 0);
    cut();
    const auto left = content("f");
    if (left) {
      EXPECT_EQ(*left, "text");
      ++back;
    }
  }
  EXPECT_GT(back, 0);
}

// What was cut off does not come back by growing again, here or behind a cut.
TEST_F(PowerCutFileSystem, a_file_that_was_cut_short_and_grows_again_is_zero_there) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    begin(seed);
    const int file = open_file("f");
    put(file, std::string(3 * kPageBytes, 'a'));
    ASSERT_EQ(::fsync(file), 0);
    sync_names();
    ASSERT_EQ(::ftruncate(file, 100), 0);
    ASSERT_EQ(::ftruncate(file, 3 * kPageBytes), 0);
    const auto before = content("f");
    EXPECT_EQ(before->find_last_not_of('\0'), 99u);
    if (seed % 2 == 0) {
      ASSERT_EQ(::fdatasync(file), 0);
    }
    cut();
    ::close(file);
    const auto left = content("f");
    if (seed % 2 == 0) {
      EXPECT_EQ(left, before);
    }
    if (left->size() == 3 * kPageBytes) {
      EXPECT_TRUE(left == before || left == std::string(3 * kPageBytes, 'a'));
    } else {
      EXPECT_EQ(*left, std::string(100, 'a'));
    }
  }
}

TEST_F(PowerCutFileSystem, shared_mappings_of_two_open_files_are_one_memory) {
  begin(1);
  const int one = open_file("m");
  ASSERT_EQ(::ftruncate(one, 64 << 10), 0);
  auto* first =
      static_cast<char*>(::mmap(nullptr, 64 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, one, 0));
  ASSERT_NE(first, MAP_FAILED);
  std::strcpy(first + 40000, "written before the second open");
  const int two = open_file("m");
  auto* second =
      static_cast<char*>(::mmap(nullptr, 64 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, two, 0));
  ASSERT_NE(second, MAP_FAILED);
  EXPECT_STREQ(second + 40000, "written before the second open");
  std::strcpy(second, "and back");
  EXPECT_STREQ(first, "and back");
  char through_the_file[9] = {};
  ASSERT_EQ(::pread(one, through_the_file, 8, 0), 8);
  EXPECT_STREQ(through_the_file, "and back");
  ::munmap(first, 64 << 10);
  ::munmap(second, 64 << 10);
  ::close(one);
  ::close(two);
}

TEST_F(PowerCutFileSystem,
       a_failed_flush_is_reported_once_to_each_and_its_pages_are_taken_for_clean) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    begin(seed);
    const int file = open_file("f");
    const int other = open_file("f");
    put(file, std::string(kPageBytes, 'a'));
    ASSERT_EQ(::fsync(file), 0);
    sync_names();
    FaultPlan plan;
    plan.fail_flush = 1;
    disk_->arm(plan);
    put(file, std::string(kPageBytes, 'b'));
    EXPECT_EQ(::fdatasync(file), -1);
    EXPECT_EQ(errno, EIO);
    EXPECT_EQ(::fdatasync(file), 0);
    EXPECT_EQ(::fdatasync(other), -1) << "it was open when the flush failed";
    EXPECT_EQ(::fdatasync(other), 0);
    const int later = open_file("f");
    EXPECT_EQ(::fdatasync(later), 0);
    EXPECT_EQ(content("f"), std::string(kPageBytes, 'b')) << "the page is still in memory";
    EXPECT_EQ(disk_->statistics().repeated_flushes, 2u);
    cut();
    for (const int each : {file, other, later}) ::close(each);
    if (content("f") != std::string(kPageBytes, 'b')) ++lost;
  }
  EXPECT_GT(lost, 0) << "the flushes behind the failed one made good what was lost";
}

TEST_F(PowerCutFileSystem,
       the_cut_comes_with_the_operation_it_is_set_to_and_nothing_is_answered_after_it) {
  for (const bool before : {false, true}) {
    begin(3);
    const int file = open_file("f");
    put(file, "a");
    ASSERT_EQ(::fsync(file), 0);
    sync_names();
    ::close(file);
    FaultPlan plan;
    plan.cut_at = 4;  // write, flush, write, flush
    plan.cut_before = before;
    disk_->arm(plan);
    ProgramToStart shell{"/usr/bin/python3"};
    shell.arguments = {"-c",
                       "import os,sys\n"
                       "f=os.open('" +
                           path("f") +
                           "',os.O_RDWR)\n"
                           "for c in (b'b',b'c',b'd'):\n"
                           "  os.pwrite(f,c,0); os.fdatasync(f); print(c.decode(),flush=True)\n"};
    if (::access(shell.path.c_str(), X_OK) != 0) GTEST_SKIP() << "no python3";
    ChildProcess child(std::move(shell));
    ASSERT_TRUE(wait_until([&] { return disk_->has_cut().has_value(); }));
    child.send_signal(SIGKILL);
    disk_->remount();
    child.kill_hard();
    EXPECT_EQ(child.output(), "b\n");
    const auto left = content("f");
    ASSERT_TRUE(left.has_value());
    if (before) {
      EXPECT_TRUE(*left == "b" || *left == "c") << *left;
    } else {
      EXPECT_EQ(*left, "c");
    }
  }
}

}  // namespace
}  // namespace semper::testing
