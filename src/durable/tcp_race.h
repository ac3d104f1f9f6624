// Connecting to whichever address of a name answers first.
#pragma once

#include <string>
#include <vector>

#include "semper/base/result.h"
#include "semper/env/asio.h"
#include "semper/env/asio_net.h"
#include "semper/env/env.h"

namespace semper::internal {

// After this long without an answer the next address is tried alongside, so that one that drops
// everything does not keep its neighbours from being reached. Idea: RFC 8305 ("Happy Eyeballs").
inline constexpr Duration kNextAddressAfter = std::chrono::milliseconds(250);

// In their order, each at once where the one before it has failed. Error: that of the address that
// failed last, named `what` (and the address, where there are several).
Async<asio::ip::tcp::socket> connect_to_first(std::vector<asio::ip::tcp::endpoint> addresses,
                                              std::string what);

}  // namespace semper::internal
