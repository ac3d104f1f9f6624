#include "semper/block/file_block_device.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "env/sanitizer_test_support.h"
#include "file_device_internal.h"
#include "file_worlds_test_support.h"

namespace semper {
namespace {

using ::testing::HasSubstr;
using testing::LoopWorld;
using testing::pattern;
using testing::run_command;
using testing::run_on_a_scheduler;
using testing::TemporaryFolder;

class FileBlockDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(create_block_file(path_, {.size = 1 << 20})); }

  std::unique_ptr<BlockDevice> open(FileDeviceOptions options = {}) {
    auto opened = open_block_device(path_, options);
    EXPECT_TRUE(opened) << opened.error().to_string();
    return opened ? std::move(*opened) : nullptr;
  }
  Error open_error(const std::string& path, FileDeviceOptions options = {}) {
    auto opened = open_block_device(path, options);
    EXPECT_FALSE(opened);
    return opened ? Error(ErrorKind::internal, "opened") : opened.error();
  }

  const TemporaryFolder folder_{TemporaryFolder::Place::beside_program};
  std::string path_ = folder_.path("device");
};

TEST_F(FileBlockDeviceTest, what_is_missing_or_of_another_kind_is_named) {
  const auto missing = open_error(folder_.path("nothing"));
  EXPECT_EQ(missing.kind(), ErrorKind::not_found);
  EXPECT_THAT(missing.message(), HasSubstr(folder_.path("nothing")));
  EXPECT_THAT(missing.message(), HasSubstr("create"));

  const auto folder = open_error(folder_.path("."), {.read_only = true});
  EXPECT_EQ(folder.kind(), ErrorKind::invalid_argument);
  EXPECT_THAT(folder.message(), HasSubstr("a directory"));
  EXPECT_EQ(open_error(folder_.path(".")).kind(), ErrorKind::invalid_argument);

  const auto character = open_error("/dev/null");
  EXPECT_EQ(character.kind(), ErrorKind::invalid_argument);
  EXPECT_THAT(character.message(), HasSubstr("a character device"));

  ASSERT_EQ(::mkfifo(folder_.path("pipe").c_str(), 0600), 0);
  const auto pipe = open_error(folder_.path("pipe"));
  EXPECT_EQ(pipe.kind(), ErrorKind::invalid_argument);
  EXPECT_THAT(pipe.message(), HasSubstr("a pipe"));
}

TEST_F(FileBlockDeviceTest, a_file_that_is_too_small_is_refused_with_both_sizes) {
  std::ofstream(folder_.path("small")) << std::string(1000, 'x');
  const auto small = open_error(folder_.path("small"));
  EXPECT_EQ(small.kind(), ErrorKind::invalid_argument);
  EXPECT_THAT(small.message(), HasSubstr("1000"));
  EXPECT_THAT(small.message(), HasSubstr("4096"));
}

TEST_F(FileBlockDeviceTest, a_size_of_broken_sectors_is_rounded_down) {
  ASSERT_EQ(::truncate(path_.c_str(), (1 << 20) + 700), 0);
  const auto device = open({.sector_size = 512});
  EXPECT_EQ(device->size(), (1u << 20) + 512u);
}

TEST_F(FileBlockDeviceTest, a_sector_size_may_be_asked_for_and_a_wrong_one_is_refused) {
  EXPECT_EQ(open({.sector_size = 4096})->sector_size(), 4096u);
  EXPECT_EQ(open({.cache = DeviceCache::page_cache, .sector_size = 512})->sector_size(), 512u);
  EXPECT_EQ(open_error(path_, {.sector_size = 1000}).kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(open_error(path_, {.sector_size = 8192}).kind(), ErrorKind::invalid_argument);
}

TEST_F(FileBlockDeviceTest, a_file_that_was_cut_short_or_deleted_is_noticed_before_it_is_written) {
  auto device = open();
  const auto bytes = pattern(4096, 1);
  ASSERT_TRUE(run_on_a_scheduler(device->write(0, bytes.span())));
  ASSERT_EQ(::truncate(path_.c_str(), 8192), 0);
  const auto cut = run_on_a_scheduler(device->write(1 << 19, bytes.span()));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().kind(), ErrorKind::io);
  EXPECT_THAT(cut.error().message(), HasSubstr("changed its size from 1048576 to 8192"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8192u) << "it did not grow again";
  AlignedBuffer back(4096);
  const auto unread = run_on_a_scheduler(device->read(1 << 19, back.span()));
  ASSERT_FALSE(unread);
  EXPECT_THAT(unread.error().message(), HasSubstr("changed its size"));

  auto other = open();
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const auto deleted = run_on_a_scheduler(other->write(0, bytes.span()));
  ASSERT_FALSE(deleted);
  EXPECT_THAT(deleted.error().message(), HasSubstr("was deleted"));
}

int failing_flushes = 0;
int flushes_called = 0;
int flush_that_fails(int descriptor) {
  ++flushes_called;
  if (failing_flushes-- > 0) {
    errno = EIO;
    return -1;
  }
  return semper::internal::system_io_calls().fdatasync(descriptor);
}

TEST_F(FileBlockDeviceTest, a_failed_flush_is_final_and_the_kernel_is_not_asked_again) {
  semper::internal::IoCalls calls = semper::internal::system_io_calls();
  calls.fdatasync = flush_that_fails;
  for (const auto mode : {IoMode::threads, IoMode::inline_blocking}) {
    failing_flushes = 1;
    flushes_called = 0;
    auto opened = semper::internal::open_block_device_with(path_, {.mode = mode}, calls);
    ASSERT_TRUE(opened);
    auto& device = **opened;
    AlignedBuffer bytes(4096);
    const auto failed = run_on_a_scheduler(device.write_and_flush(0, bytes.span()));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind(), ErrorKind::io);
    EXPECT_THAT(failed.error().message(), HasSubstr(path_));
    EXPECT_EQ(run_on_a_scheduler(device.flush()).error(), failed.error());
    EXPECT_EQ(run_on_a_scheduler(device.write(0, bytes.span())).error(), failed.error());
    EXPECT_EQ(run_on_a_scheduler(device.read(0, bytes.span())).error(), failed.error());
    EXPECT_EQ(flushes_called, 1);
    auto again = semper::internal::open_block_device_with(path_, {.mode = mode}, calls);
    ASSERT_TRUE(again);
    EXPECT_TRUE(run_on_a_scheduler((*again)->write_and_flush(0, bytes.span())));
  }
}

std::size_t short_calls = 0;
ssize_t write_that_is_short(int descriptor, const iovec* parts, int, off_t offset) {
  if (short_calls++ % 3 == 0) {
    errno = EINTR;
    return -1;
  }
  const iovec first{.iov_base = parts->iov_base,
                    .iov_len = std::min<std::size_t>(parts->iov_len, 512)};
  return semper::internal::system_io_calls().pwritev(descriptor, &first, 1, offset);
}

TEST_F(FileBlockDeviceTest, short_and_interrupted_writes_are_carried_on) {
  semper::internal::IoCalls calls = semper::internal::system_io_calls();
  calls.pwritev = write_that_is_short;
  auto opened = semper::internal::open_block_device_with(
      path_, {.mode = IoMode::threads, .cache = DeviceCache::page_cache}, calls);
  ASSERT_TRUE(opened);
  const auto a = pattern(4096, 2);
  const auto b = pattern(8192, 3);
  WriteParts parts;
  parts.push_back(a.span());
  parts.push_back(b.span());
  ASSERT_TRUE(run_on_a_scheduler((*opened)->write(4096, parts)));
  AlignedBuffer back(12288);
  ASSERT_TRUE(run_on_a_scheduler((*opened)->read(4096, back.span())));
  EXPECT_EQ(back.view(), std::string(a.view()) + std::string(b.view()));
}

TEST_F(FileBlockDeviceTest, durability_none_never_asks_for_a_flush) {
  semper::internal::IoCalls calls = semper::internal::system_io_calls();
  calls.fdatasync = flush_that_fails;
  failing_flushes = 0;
  flushes_called = 0;
  auto opened = semper::internal::open_block_device_with(
      path_, {.mode = IoMode::inline_blocking, .durability = Durability::none}, calls);
  ASSERT_TRUE(opened);
  const auto bytes = pattern(4096, 4);
  ASSERT_TRUE(run_on_a_scheduler((*opened)->write_and_flush(0, bytes.span())));
  ASSERT_TRUE(run_on_a_scheduler((*opened)->flush()));
  EXPECT_EQ(flushes_called, 0);
  EXPECT_THAT((*opened)->description(), HasSubstr("no flush"));
}

TEST_F(FileBlockDeviceTest, more_than_max_in_flight_is_refused_by_name) {
  auto device = open({.mode = IoMode::threads, .max_in_flight = 0});
  AlignedBuffer bytes(4096);
  const auto refused = run_on_a_scheduler(device->read(0, bytes.span()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::retry);
  EXPECT_THAT(refused.error().message(), HasSubstr("max_in_flight"));
  ASSERT_TRUE(refused.error().limit());
  EXPECT_STREQ(refused.error().limit()->name, "max_in_flight");
}

TEST_F(FileBlockDeviceTest, creating_refuses_what_is_there_and_replaces_it_when_asked) {
  auto device = open();
  const auto bytes = pattern(4096, 5);
  ASSERT_TRUE(run_on_a_scheduler(device->write_and_flush(0, bytes.span())));
  device.reset();
  const auto refused = create_block_file(path_, {.size = 8192});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::already_exists);
  EXPECT_EQ(std::filesystem::file_size(path_), 1u << 20);
  ASSERT_TRUE(create_block_file(path_, {.size = 8192, .existing = Existing::replace}));
  EXPECT_EQ(std::filesystem::file_size(path_), 8192u);
  AlignedBuffer back(4096);
  ASSERT_TRUE(run_on_a_scheduler(open()->read(0, back.span())));
  EXPECT_EQ(back.view(), Bytes(4096, '\0'));
  EXPECT_EQ(
      create_block_file("/dev/null", {.size = 8192, .existing = Existing::replace}).error().kind(),
      ErrorKind::invalid_argument);
  EXPECT_EQ(create_block_file(folder_.path("odd"), {.size = 1000}).error().kind(),
            ErrorKind::invalid_argument);
}

TEST_F(FileBlockDeviceTest, creating_shows_progress_and_leaves_nothing_when_given_up) {
  std::uint64_t seen = 0;
  const auto progress = [&](std::uint64_t written) {
    EXPECT_GT(written, seen);
    seen = written;
    return written < (std::uint64_t{2} << 20);
  };
  const auto made = create_block_file(folder_.path("big"), {.size = 8 << 20, .progress = progress});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::cancelled);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("big")));
}

// Whoever finds the file may put a ring into it, which must not be written over.
TEST_F(FileBlockDeviceTest, a_file_that_is_being_created_is_not_there_for_others_yet) {
  const std::string path = folder_.path("shared");
  bool was_there = false;
  Status other = fail(ErrorKind::internal, "not tried");
  const auto progress = [&](std::uint64_t written) {
    if (written == std::uint64_t{1} << 20) {
      was_there = std::filesystem::exists(path);
      other = create_block_file(path, {.size = 1 << 20});
      const auto bytes = pattern(4096, 6);
      auto device = open_block_device(path, {});
      EXPECT_TRUE(device && run_on_a_scheduler((*device)->write_and_flush(0, bytes.span())));
    }
    return true;
  };
  const auto made = create_block_file(path, {.size = 2 << 20, .progress = progress});
  EXPECT_FALSE(was_there);
  EXPECT_TRUE(other);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::already_exists) << made.error().to_string();
  auto device = open_block_device(path, {});
  ASSERT_TRUE(device);
  EXPECT_EQ((*device)->size(), 1u << 20);
  AlignedBuffer back(4096);
  ASSERT_TRUE(run_on_a_scheduler((*device)->read(0, back.span())));
  EXPECT_EQ(back.view(), pattern(4096, 6).view());
  for (const auto& left : std::filesystem::directory_iterator(folder_.path("."))) {
    EXPECT_EQ(left.path().string().find(".new"), std::string::npos) << left.path();
  }
}

// Where the name cannot be made durable, there is no file that looks made.
TEST_F(FileBlockDeviceTest, a_file_whose_name_is_not_durable_is_removed) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const auto progress = [&](std::uint64_t) {
    rlimit none = before;
    none.rlim_cur = 3;
    return ::setrlimit(RLIMIT_NOFILE, &none) == 0;
  };
  const std::string path = folder_.path("in doubt");
  const auto made = create_block_file(path, {.size = 8192, .progress = progress});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("durable"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Whatever it is that finds no descriptor any more: no other reason is made up.
TEST_F(FileBlockDeviceTest, one_that_descriptors_run_out_for_halfway_is_opened_or_says_so) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  constexpr rlim_t kMost = 40;
  const std::string path = folder_.path("few");
  ASSERT_TRUE(create_block_file(path, {.size = 8192}));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int free = ::dup(STDIN_FILENO);
  ASSERT_GE(free, 0);
  ::close(free);
  bool was_opened = false;
  for (rlim_t more = 0; more < kMost && !was_opened; ++more) {
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(free) + more;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const auto opened = open_block_device(path, {});
    ::setrlimit(RLIMIT_NOFILE, &before);
    was_opened = opened.has_value();
    if (opened) continue;
    EXPECT_EQ(opened.error().kind(), ErrorKind::exhausted) << opened.error().to_string();
    EXPECT_EQ(opened.error().message().find("as one user"), std::string::npos) << more;
  }
  EXPECT_TRUE(was_opened);
}

TEST_F(FileBlockDeviceTest, more_than_the_disk_can_hold_is_refused_and_leaves_nothing) {
  const auto made = create_block_file(folder_.path("huge"), {.size = std::uint64_t{1} << 43});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::exhausted);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("huge")));
}

// A small file system with a sparse file on it that it cannot hold.
class FullDisk {
 public:
  explicit FullDisk(const TemporaryFolder& folder) : mount_(folder.path("mnt")) {
    std::filesystem::create_directories(mount_);
    mounted_ = ::geteuid() == 0 &&
               run_command({"mount", "-t", "tmpfs", "-o", "size=1m", "none", mount_}).ok;
    if (!mounted_) return;
    std::ofstream(file()) << "";
    std::filesystem::resize_file(file(), 8 << 20);
  }
  ~FullDisk() {
    if (mounted_) run_command({"umount", "-l", mount_});
  }
  bool is_there() const { return mounted_; }
  std::string file() const { return mount_ + "/sparse"; }

 private:
  std::string mount_;
  bool mounted_ = false;
};

TEST_F(FileBlockDeviceTest, a_sparse_file_on_a_full_disk_is_exhausted_and_the_handle_goes_on) {
  FullDisk disk(folder_);
  if (!disk.is_there()) GTEST_SKIP() << "no mount: this is not root";
  for (const auto mode : {IoMode::automatic, IoMode::threads, IoMode::inline_blocking}) {
    auto opened = open_block_device(disk.file(), {.mode = mode});
    ASSERT_TRUE(opened) << opened.error().to_string();
    const auto bytes = pattern(4 << 20, 6);
    const auto full = run_on_a_scheduler((*opened)->write(0, bytes.span()));
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().kind(), ErrorKind::exhausted);
    EXPECT_THAT(full.error().message(), HasSubstr("make room"));
    EXPECT_TRUE(run_on_a_scheduler((*opened)->write(0, bytes.span().first(4096))));
  }
}

TEST_F(FileBlockDeviceTest, a_flush_that_really_fails_is_final_also_through_io_uring) {
  FullDisk disk(folder_);
  if (!disk.is_there()) GTEST_SKIP() << "no mount: this is not root";
  const auto loop = run_command({"losetup", "--find", "--show", disk.file()});
  if (!loop.ok) GTEST_SKIP() << "no loop device here";
  auto opened = open_block_device(loop.output, {.cache = DeviceCache::page_cache});
  ASSERT_TRUE(opened) << opened.error().to_string();
  const auto bytes = pattern(4 << 20, 7);
  // The page cache takes it; the device below cannot.
  ASSERT_TRUE(run_on_a_scheduler((*opened)->write(0, bytes.span())));
  const auto failed = run_on_a_scheduler((*opened)->flush());
  EXPECT_FALSE(failed);
  if (!failed) {
    EXPECT_EQ(failed.error().kind(), ErrorKind::io);
    EXPECT_EQ(run_on_a_scheduler((*opened)->flush()).error(), failed.error());
    EXPECT_EQ(run_on_a_scheduler((*opened)->write(0, bytes.span())).error(), failed.error());
  }
  opened->reset();
  run_command({"losetup", "--detach", loop.output});
}

TEST_F(FileBlockDeviceTest, a_raw_device_that_shrinks_or_is_in_use_says_so) {
  auto world = LoopWorld::make(512);
  if (!world) GTEST_SKIP() << "needs a loop device";
  auto opened = world->open(testing::DeviceWorld::Access::read_write);
  ASSERT_TRUE(opened) << opened.error().to_string();
  std::filesystem::resize_file(world->backing_file(), 1 << 19);
  ASSERT_TRUE(run_command({"losetup", "--set-capacity", world->path()}).ok);
  const auto bytes = pattern(4096, 8);
  const auto beyond = run_on_a_scheduler((*opened)->write((1 << 20) - 4096, bytes.span()));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().kind(), ErrorKind::io);
  EXPECT_THAT(beyond.error().message(), HasSubstr("changed its size from 1048576 to 524288"));
  opened->reset();

  std::filesystem::resize_file(world->backing_file(), 16 << 20);
  ASSERT_TRUE(run_command({"losetup", "--set-capacity", world->path()}).ok);
  if (!run_command({"mkfs.ext4", "-q", world->path()}).ok) GTEST_SKIP() << "no mkfs.ext4 here";
  std::filesystem::create_directories(folder_.path("mnt"));
  if (!run_command({"mount", world->path(), folder_.path("mnt")}).ok) {
    GTEST_SKIP() << "no mount: not allowed";
  }
  const auto in_use = open_error(world->path());
  EXPECT_EQ(in_use.kind(), ErrorKind::permission);
  EXPECT_THAT(in_use.message(), HasSubstr("mounted"));
  run_command({"umount", folder_.path("mnt")});
}

TEST_F(FileBlockDeviceTest, a_read_only_raw_device_is_opened_only_for_reading) {
  auto world = LoopWorld::make(512);
  if (!world) GTEST_SKIP() << "needs a loop device";
  ASSERT_TRUE(run_command({"blockdev", "--setro", world->path()}).ok);
  const auto refused = open_error(world->path());
  EXPECT_EQ(refused.kind(), ErrorKind::permission);
  EXPECT_THAT(refused.message(), HasSubstr("read-only"));
  EXPECT_TRUE(open_block_device(world->path(), {.read_only = true}));
  run_command({"blockdev", "--setrw", world->path()});
}

// Where a device is, told by who only waits.
TEST_F(FileBlockDeviceTest, a_lost_place_is_noticed_and_one_out_of_sight_is_not_called_lost) {
  const auto device = open();
  EXPECT_TRUE(device->check_place());
  const auto folder = std::filesystem::current_path();
  std::filesystem::current_path("/");
  EXPECT_TRUE(device->check_place());
  std::filesystem::current_path(folder);
  std::filesystem::rename(path_, path_ + ".moved");
  EXPECT_TRUE(device->check_place()) << "its name may be out of sight";
  ASSERT_TRUE(create_block_file(path_, {.size = 1 << 20}));
  Status lost = device->check_place();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), ErrorKind::io);
  EXPECT_THAT(lost.error().message(), HasSubstr("was replaced by another file"));
  std::filesystem::remove(path_ + ".moved");
  lost = device->check_place();
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message(), HasSubstr("was deleted"));
}

}  // namespace
}  // namespace semper
