// A process that was started with its standard streams closed.
#include "semper/env/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

namespace semper {
namespace {

class StandardStreamsDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    path_ = ::testing::TempDir() + "semper-streams-" + std::to_string(::getpid());
  }
  void TearDown() override { std::filesystem::remove(path_); }

  static void close_all() {
    for (const int stream : {0, 1, 2}) ::close(stream);
  }

  // Whether one of the standard streams is the file at `path`.
  static bool is_a_stream(const std::string& path) {
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

  std::string path_;
};

TEST_F(StandardStreamsDeathTest, a_guarded_stream_is_taken_and_gives_an_error) {
  const auto guard = [&] {
    close_all();
    guard_standard_streams();
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file <= 2) ::_exit(1);
    char byte = 'x';
    if (::write(1, &byte, 1) != -1 || errno != EBADF) ::_exit(2);
    if (::write(2, &byte, 1) != -1 || errno != EBADF) ::_exit(3);
    if (::read(0, &byte, 1) != -1 || errno != EBADF) ::_exit(4);
    ::_exit(0);
  };
  EXPECT_EXIT(guard(), ::testing::ExitedWithCode(0), "");
}

TEST_F(StandardStreamsDeathTest, a_stream_that_is_open_stays_as_it_is) {
  const auto guard = [&] {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (::dup2(file, 1) != 1) ::_exit(5);
    ::close(0);
    guard_standard_streams();
    ::_exit(is_a_stream(path_) && ::write(1, "x", 1) == 1 ? 0 : 1);
  };
  EXPECT_EXIT(guard(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace semper
