// The second header that includes standalone Asio: sockets, descriptors, and reading and writing
// them.
//
// What for: connections made with Asio (durable/tcp.h). When not: coroutines, timers and executors;
// env/asio.h has those, and compiles faster.
//
//   asio::ip::tcp::socket socket(executor);
//
// Threads: as Asio's objects: one at a time for each.
#pragma once

#include <asio/buffer.hpp>
#include <asio/connect.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include "semper/env/asio.h"
