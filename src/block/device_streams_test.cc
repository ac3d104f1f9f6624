// A process that was started with its standard streams closed opens a device.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "semper/block/file_block_device.h"
#include "semper/testing/temporary_folder.h"

namespace semper {
namespace {

// Whether one of the standard streams is the file at `path`.
bool is_a_stream(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) return false;
  for (const int stream : {0, 1, 2}) {
    struct stat there {};
    if (::fstat(stream, &there) == 0 && there.st_ino == file.st_ino &&
        there.st_dev == file.st_dev) {
      return true;
    }
  }
  return false;
}

TEST(DeviceStreamsDeathTest, a_device_is_never_a_standard_stream) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const testing::TemporaryFolder folder;
  const std::string path = folder.path("device");
  const auto open_without_streams = [&] {
    for (const int stream : {0, 1, 2}) ::close(stream);
    CreateFileOptions options;
    options.size = std::uint64_t{1} << 20;
    if (!create_block_file(path, options)) ::_exit(3);
    for (const IoMode mode : {IoMode::automatic, IoMode::threads, IoMode::inline_blocking}) {
      FileDeviceOptions how;
      how.mode = mode;
      const auto device = open_block_device(path, how);
      if (!device) ::_exit(4);
      if (is_a_stream(path)) ::_exit(1);
    }
    ::_exit(0);
  };
  EXPECT_EXIT(open_without_streams(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace semper
