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
  // Batches, and bytes of them, that are kept for those who come back or are slow.
  std::size_t history_batches = 1024;
  std::size_t history_bytes = std::size_t{16} << 20;
  // Which history this is; 0: drawn at random.
  std::uint64_t epoch = 0;
  // How many batches of it came before this publisher was made.
  std::uint64_t first_number = 0;
};

}  // namespace semper::rpc
