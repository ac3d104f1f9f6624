// How many addresses an address stands for: gRPC tries them one after the other, and each of them
// may take as long as the whole attempt.
#pragma once

#include <cstddef>
#include <string>

#include "semper/env/asio.h"
#include "semper/env/env.h"

namespace semper::rpc {

// The lookups that run at once in a process: no more of them wait for a name server that is silent.
inline constexpr int kLookupsAtOnce = 8;

// 1 where that is not known, in time or at all.
Task<std::size_t> count_addresses(std::string address, Duration patience);

}  // namespace semper::rpc
