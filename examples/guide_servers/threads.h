// The lesson of the guide to durable servers for programs without coroutines.
#pragma once

#include <cstdint>
#include <string>

#include "semper/sync.h"

namespace guide {

// Serves the stock until SIGINT or SIGTERM, then ends in order.
semper::Status serve_until_told(const std::string& url);

// Sells three of it. From any thread that runs no coroutines.
semper::Result<std::int64_t> sell_on_a_thread(const semper::sync::Store& shop,
                                              const std::string& article);

}  // namespace guide
