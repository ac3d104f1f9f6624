// PublisherOptions: how much of its history a publisher keeps.
//
// What for: publisher.h. When not: handlers that send a stream of their own (server.h).
//
//   semper::rpc::PublisherOptions options;
//   options.history_batches = 100;
//
// Threads: values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "semper/env/env.h"

namespace semper::rpc {

struct PublisherOptions {
  Env env = Env();
  // The number of batches, and of their bytes, that are kept for callers that reconnect or are
  // slow.
  std::size_t history_batches = 1024;
  std::size_t history_bytes = std::size_t{16} << 20;
  // Identifies this history; 0: a random number.
  std::uint64_t epoch = 0;
  // How many batches of it came before this publisher was created.
  std::uint64_t first_number = 0;
};

}  // namespace semper::rpc
