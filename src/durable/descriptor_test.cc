// Waiting for a descriptor of somebody else's.
#include "semper/durable/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <optional>
#include <utility>

#include "env/sanitizer_test_support.h"
#include "env/shortage_test_support.h"

namespace semper {
namespace {

struct Pair {
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  ~Pair() {
    ::close(ends[0]);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  void say() { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
  void hang_up() { ::close(std::exchange(ends[1], -1)); }
  int ends[2];
};

Task<void> wait_and_note(int descriptor, int& ended) {
  EXPECT_TRUE(co_await wait_readable(descriptor));
  ++ended;
}

// Asio opens some when a loop waits for the first time.
TEST(Descriptor, a_wait_for_which_none_is_free_is_an_error) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  Pair pair;
  asio::io_context loop(1);
  std::optional<ErrorKind> kind;
  auto waits = [&]() -> Task<void> {
    const auto waited = co_await wait_readable(pair.ends[0]);
    if (!waited) kind = waited.error().kind();
  };
  {
    const testing::NoMoreDescriptors full;
    asio::co_spawn(loop, waits(), asio::detached);
    loop.run();
  }
  EXPECT_EQ(kind, ErrorKind::exhausted);
  int ended = 0;
  asio::co_spawn(loop, wait_and_note(pair.ends[0], ended), asio::detached);
  pair.say();
  loop.restart();
  loop.run();
  EXPECT_EQ(ended, 1);
}

TEST(Descriptor, is_waited_for_again_and_again_and_stays_as_it_was) {
  Pair pair;
  const int flags = ::fcntl(pair.ends[0], F_GETFL);
  for (int round = 1; round <= 3; ++round) {
    asio::io_context loop(1);
    int ended = 0;
    asio::co_spawn(loop, wait_and_note(pair.ends[0], ended), asio::detached);
    loop.poll();
    EXPECT_EQ(ended, 0);
    pair.say();
    loop.run();
    EXPECT_EQ(ended, 1);
    EXPECT_EQ(::fcntl(pair.ends[0], F_GETFL), flags) << "O_NONBLOCK is the library's to say";
    char byte = 0;
    EXPECT_EQ(::read(pair.ends[0], &byte, 1), 1);
  }
}

TEST(Descriptor, a_wait_that_is_cancelled_or_loses_its_loop_leaves_it_open) {
  Pair pair;
  int ended = 0;
  {
    asio::io_context loop(1);
    asio::cancellation_signal signal;
    asio::co_spawn(
        loop, wait_readable(pair.ends[0]),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, Result<void> waited) {
          EXPECT_FALSE(waited);
          ++ended;
        }));
    loop.poll();
    signal.emit(asio::cancellation_type::terminal);
    loop.run();
    EXPECT_EQ(ended, 1);
    loop.restart();
    asio::co_spawn(loop, wait_and_note(pair.ends[0], ended), asio::detached);
    loop.poll();
  }
  EXPECT_EQ(ended, 1);
  EXPECT_GE(::fcntl(pair.ends[0], F_GETFL), 0);
}

TEST(Descriptor, is_quiet_until_something_happens_on_it) {
  Pair pair;
  EXPECT_TRUE(is_quiet(pair.ends[0]));
  pair.say();
  EXPECT_FALSE(is_quiet(pair.ends[0]));
  char byte = 0;
  EXPECT_EQ(::read(pair.ends[0], &byte, 1), 1);
  EXPECT_TRUE(is_quiet(pair.ends[0]));
  pair.hang_up();
  EXPECT_FALSE(is_quiet(pair.ends[0]));
  EXPECT_FALSE(is_quiet(-1)) << "of a connection that is closed";
}

}  // namespace
}  // namespace semper
