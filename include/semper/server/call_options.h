// CallOptions, CastOptions: how a message is sent (server/ref.h, server/raw_ref.h).
//
//   const semper::CallOptions patient{.timeout = std::chrono::minutes(1)};
//   auto n = co_await hits.call<Counter::Add>(patient, 2);
//
// When not: what a host does with the messages that it runs is set in HostOptions. Plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "semper/base/time.h"
#include "semper/server/idempotency_key.h"

namespace semper {

struct CallOptions {
  // How long to wait for the reply. kForever: until it comes.
  Duration timeout = std::chrono::seconds(5);

  // With a key, a repeated call gets the reply of the first (server/idempotency_key.h). Default:
  // none.
  std::optional<IdempotencyKey> key = std::nullopt;
};

struct CastOptions {
  // With a key, a repeated cast does nothing (server/idempotency_key.h). Default: none.
  std::optional<IdempotencyKey> key = std::nullopt;
};

// Entities that may wait for each other in a chain of calls: A's callback calls B, whose callback
// calls C, and so on. A longer chain gets `exhausted`.
inline constexpr std::size_t kCallChainMaximum = 32;

// Writes of any kind in one transaction, beyond which cast_in cannot number its messages.
inline constexpr std::size_t kCastInOperations = 65'000;

}  // namespace semper
