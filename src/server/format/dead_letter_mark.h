// The mark of an error whose message was set aside: "dead_letter(3): ", in its text, which crosses
// processes, stores and versions as it is.
#pragma once

#include <cstdint>

#include "semper/base/result.h"

namespace semper::internal {

// The error as the message's caller gets it.
Error as_dead_letter(const Error& reason, std::uint64_t attempts);

}  // namespace semper::internal
