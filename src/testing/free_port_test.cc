// A port for a server that is killed and started again: no client's connection may be given it
// meanwhile.
#include "semper/testing/free_port.h"

#include <gtest/gtest.h>

#include <fstream>

namespace semper::testing {
namespace {

TEST(FreePort, lies_where_the_kernel_gives_no_connection_its_port) {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  int first = 0;
  int last = 0;
  if (!(range >> first >> last)) GTEST_SKIP() << "the kernel does not say which ports it gives";
  for (int i = 0; i < 100; ++i) {
    const int port = free_port();
    EXPECT_TRUE(port < first || port > last) << port;
    EXPECT_GE(port, 1024) << "only root listens there";
  }
}

}  // namespace
}  // namespace semper::testing
