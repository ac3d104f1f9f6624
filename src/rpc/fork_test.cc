// gRPC does not survive a fork: a child is told, and does not hang.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/sanitizer_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/channel.h"

namespace semper::rpc {
namespace {

constexpr unsigned kHangsSeconds = 30;

// Nobody listens there.
Error error_of_connecting() {
  Scheduler scheduler;
  ChannelOptions options;
  options.address = "127.0.0.1:1";
  options.connect_deadline = std::chrono::seconds(5);
  const auto channel = scheduler.block_on(connect(options));
  return channel ? Error(ErrorKind::internal, "somebody listens") : channel.error();
}

TEST(Fork, a_child_of_a_process_that_has_used_channels_is_told_what_it_can_do) {
  SEMPER_FORKS_BESIDE_THREADS();
  ASSERT_NE(error_of_connecting().kind(), ErrorKind::unsupported);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kHangsSeconds);
    const Error error = error_of_connecting();
    const bool told = error.kind() == ErrorKind::unsupported &&
                      error.message().find("exec") != std::string::npos;
    ::_exit(told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "it hung, or was told something else";
}

}  // namespace
}  // namespace semper::rpc
