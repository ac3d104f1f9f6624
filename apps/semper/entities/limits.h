// The limits of a type, in words and as part of a document.
#pragma once

#include <optional>
#include <string>

#include "semper/base/bytes.h"
#include "semper/server/inspect.h"

namespace semper::cli {

// "60 messages in 1m for each key (burst 10), 2 handle_locked at a time for each key; refuses"
std::string limits_text(const LimitsView& limits);
Bytes limits_item(const std::optional<LimitsView>& limits);

}  // namespace semper::cli
