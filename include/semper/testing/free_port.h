// A port on loopback for a server that a test starts.
//
// What for: servers that are killed and started again at the same address, and programs that cannot
// be told to choose a port themselves. When not: a server of the test's own process; it listens on
// port 0.
//
//   const std::uint16_t port = semper::testing::free_port();
//
// It lies below the ports that the kernel gives to connections: a client that tries again and again
// while the server is down cannot be given the server's own port, which would keep it from starting
// again (and can connect to itself). Nothing holds the port: what listens on it first has it.
// Throws std::runtime_error where none is free. Threads: any.
#pragma once

#include <cstdint>

namespace semper::testing {

std::uint16_t free_port();

}  // namespace semper::testing
