// KeyView: the idempotency keys that an entity remembers, without their C++ types: for tools,
// dashboards and tests.
//
//   auto keys = co_await semper::list_keys(tenant, account.entity());
//
// Reads in one transaction and changes nothing, except where the name says so. Lists are bounded:
// the next page begins after the last row of the one before. Errors: not_found, invalid_argument,
// corrupt (the message names the key), and the store's own. Threads: any. When not: a program that
// has the types and one key in mind asks Ref::result_of (server/ref.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/server/idempotency_key.h"

namespace semper {

struct KeyView {
  std::string message;  // the name of the message that it was sent with
  std::string key;
  enum class State : std::uint8_t {
    queued,   // the message waits in the queue, or runs
    waiting,  // it has run, and is to be answered later
    done,
    set_aside  // a dead letter: redriving it makes the key `queued` again
  } state = State::queued;
  std::size_t attached_calls = 0;      // that wait for the reply, besides the first
  std::optional<WallTime> kept_until;  // where it is done or set aside
  // Likewise: one CBOR item, empty of a cast; or the error. Long ones are left out past 1 MiB of a
  // list.
  std::optional<Result<Bytes>> reply;
};

struct KeyListOptions {
  // Only keys after this one, in the order of the list: by message, then by key.
  std::string after_message = {};
  std::string after_key = {};
  std::size_t limit = 100;
};

// Those whose retention is over are not among them, whether they were removed or not.
Async<std::vector<KeyView>> list_keys(Tenant tenant, EntityId id, KeyListOptions options);
// No default argument above: see list_entities in server/inspect.h.
inline Async<std::vector<KeyView>> list_keys(Tenant tenant, EntityId id) {
  return list_keys(std::move(tenant), std::move(id), KeyListOptions());
}

// Keys of the entity that were not removed yet. One read, whatever their number.
Async<std::uint64_t> count_keys(Tenant tenant, EntityId id);

// Nothing is known of the key any more: a repeat runs again, and calls that wait for its reply get
// `closed`. For one that nobody will ever answer, because what its entity knew of its caller is
// lost (to a reset, say). A message of it that waits in the queue runs all the same. not_found:
// there is no such key. Changes the store.
Async<void> forget_key(Tenant tenant, EntityId id, std::string message, std::string key);

}  // namespace semper
