// Whether a chain of coroutines has waited yet.
#pragma once

#include "semper/env/asio.h"

namespace semper::internal {

// `co_await HasWaited()`: whether this chain of coroutines has waited for anything since it was
// spawned. Until then Asio posts what it returns, and another operand of `||` can overtake it: a
// function that takes something out of a queue for its caller yields first.
using HasWaited = asio::detail::awaitable_thread_has_context_switched;

}  // namespace semper::internal
