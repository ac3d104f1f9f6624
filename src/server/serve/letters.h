// What a host does with the letters of an entity: making them, and keeping them within their type's
// bounds.
#pragma once

#include <cstdint>

#include "semper/server/dead_letter_info.h"
#include "semper/server/internal/behaviour.h"
#include "semper/store/transaction.h"
#include "server/format/records.h"
#include "server/format/target.h"
#include "server/serve/burial.h"

namespace semper::internal {

// Letters past the bounds of their type that one commit removes.
inline constexpr std::size_t kLettersReaped = 64;

inline std::int64_t in_milliseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
inline WallTime from_milliseconds(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

DeadLetterRecord letter_of(const QueuedMessage& message, const Burial& burial, WallTime now);
// As the entity is told of it.
DeadLetterInfo letter_info(const DeadLetterRecord& letter, const Error& reason);

// Before `coming` letters are added: the oldest go that are too old, or too many. At most
// kLettersReaped; the others go with the next.
Async<void> reap_letters(Transaction& transaction, const Target& target, const LetterRules& rules,
                         std::size_t coming, WallTime now);

}  // namespace semper::internal
