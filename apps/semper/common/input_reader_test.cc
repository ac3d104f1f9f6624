#include "common/input_reader.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace semper::cli {
namespace {

TEST(InputReaders, readers_that_are_stopped_wait_for_no_more_input) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  StopSource stop;
  InputReader reader(ends[0], stop.get_token());
  std::array<char, 16> buffer{};
  ASSERT_EQ(::write(ends[1], "abc", 3), 3);
  EXPECT_EQ(reader.read(buffer), 3u);
  std::thread stopping([&] { stop.request_stop(); });
  EXPECT_EQ(reader.read(buffer), 0u);
  stopping.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(InputReaders, readers_without_a_descriptor_to_wait_with_say_so) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  InputReader reader(STDIN_FILENO, StopToken());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  std::array<char, 8> into{};
  const auto got = reader.read(into);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().message().find("descriptor"), std::string::npos);
  EXPECT_FALSE(reader.wait(std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace semper::cli
