#include "common/input_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace semper::cli {
namespace {

TEST(InputReaders, readers_that_are_stopped_wait_for_no_more_input) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  std::stop_source stop;
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

}  // namespace
}  // namespace semper::cli
