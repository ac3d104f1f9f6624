// Command `complete`, for completion scripts: what may stand at the cursor that only the store
// knows, types, ids and messages. A line each, as it would be typed; nothing, without a word, where
// the store cannot be read: whoever presses Tab did not ask for an error.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

// What the words before the cursor ask for.
struct CompletionQuery {
  enum class What : std::uint8_t { nothing, types, entities, calls, casts };
  What what = What::nothing;
  std::string entity;  // of calls and casts: whose messages
  std::string prefix;  // of the word at the cursor
  std::string store;   // where the words name one; else the settings say it
  std::string tenant;
};

// Ids that are offered at most.
inline constexpr std::size_t kCompletedIds = 100;

Async<void> complete(Invocation& invocation, CompletionQuery query);

}  // namespace semper::cli
