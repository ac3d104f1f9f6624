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

// Chains of calls. In a callback that may wait (behaviour.h), and in handle_locked, a call carries
// the chain of calls that it is part of, from host to host. If the entity that it is for waits in
// that chain, the call would wait for itself, so it ends at once with `unsupported`, naming the
// chain ("Bank/a -> Bank/b -> Bank/a"); send a message with Context::cast instead. The same holds
// for casts and priority messages to an entity whose callback waits within its transaction; those
// to one that waits in handle_locked are sent. Not found: two chains that wait for each other's
// entities, which end with their timeouts; and calls that leave the store.
//
// At most so many entities wait for each other in one chain. A longer one gets `exhausted`.
inline constexpr std::size_t kCallChainMaximum = 32;

// Writes of any kind in one transaction, beyond which cast_in cannot number its messages.
inline constexpr std::size_t kCastInOperations = 65'000;

}  // namespace semper
