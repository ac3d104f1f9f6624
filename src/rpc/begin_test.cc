// The first use of gRPC in a process.
#include <gtest/gtest.h>
#include <unistd.h>

#include "env/sanitizer_test_support.h"
#include "env/shortage_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/server.h"

namespace semper::rpc {
namespace {

// 0: both are refused, and work as soon as there are descriptors.
int code_of_a_begin_without_descriptors() {
  Scheduler scheduler;
  ServerOptions serving;
  serving.executor = scheduler.executor();
  ChannelOptions there;
  there.address = "127.0.0.1:1";
  {
    const testing::NoMoreDescriptors full;
    const auto channel = scheduler.block_on(connect(there));
    if (channel || channel.error().kind() != ErrorKind::exhausted) return 1;
    const auto server = Server::start(Methods(), serving);
    if (server || server.error().kind() != ErrorKind::exhausted) return 2;
  }
  return Server::start(Methods(), serving) ? 0 : 3;
}

// In a process of its own, in which nobody has used gRPC.
TEST(RpcBeginDeathTest, without_descriptors_it_is_an_error_and_no_abort) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(::_exit(code_of_a_begin_without_descriptors()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace semper::rpc
