// KeyView: lists the idempotency keys that an entity remembers, without C++ types: for tools,
// dashboards and tests.
//
//   auto keys = co_await semper::list_keys(tenant, account.entity());
//
// Reads in one transaction and changes nothing, except where the name says so. Lists are bounded:
// the next page begins after the last row of the previous one. Errors: not_found, invalid_argument,
// corrupt (the message names the key), and the store's own. Threads: any. When not: a program that
// has the types and one particular key uses Ref::result_of (server/ref.h).
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
    waiting,  // it has run and is to be answered later
    done,
    set_aside  // a dead letter: redriving it makes the key `queued` again
  } state = State::queued;
  std::size_t attached_calls = 0;      // calls that wait for the reply, in addition to the first
  std::optional<WallTime> kept_until;  // if it is done or set aside
  // Likewise: one CBOR item, empty for a cast; or the error. Long replies are omitted beyond 1 MiB
  // per list.
  std::optional<Result<Bytes>> reply;
};

struct KeyListOptions {
  // Only keys after this one, in the order of the list: by message, then by key.
  std::string after_message = {};
  std::string after_key = {};
  std::size_t limit = 100;
};

// Keys whose retention is over are not listed, whether or not they have been removed.
Async<std::vector<KeyView>> list_keys(Tenant tenant, EntityId id, KeyListOptions options);
// No default argument above: see list_entities in server/inspect.h.
inline Async<std::vector<KeyView>> list_keys(Tenant tenant, EntityId id) {
  return list_keys(std::move(tenant), std::move(id), KeyListOptions());
}

// The number of the entity's keys that have not been removed yet. One read, however many there are.
Async<std::uint64_t> count_keys(Tenant tenant, EntityId id);

// Forgets the key: a repeat runs again, and calls that wait for its reply get `closed`. For a key
// that will never be answered because its entity has lost the caller's token (in a reset, for
// example). If its message still waits in the queue, it runs anyway. not_found: there is no such
// key. Changes the store.
Async<void> forget_key(Tenant tenant, EntityId id, std::string message, std::string key);

}  // namespace semper
