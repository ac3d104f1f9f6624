// cast_once: casts that may be sent again but take effect once.
//
// What for: bridges from a source that delivers at least once and in order (a journal, a log, the
// queue of another system): casts that were sent but not acknowledged are sent again, and must not
// count twice. When not: programs that send to an entity directly; a Ref's cast is exactly once
// already.
//
//   std::vector<OnceCast> casts;
//   casts.push_back({{"Ledger", "main"}, {"Booked", encode(booked)}, offset_in_the_log});
//   SEMPER_CO_TRY_STATUS(co_await semper::cast_once(store, "orders.log", std::move(casts)));
//
// For each source that has sent to it, an entity keeps the highest sequence number it has received;
// a cast with that number or a lower one is skipped. So the numbers of one source must grow in the
// order in which it sends to an entity, and the same cast must always have the same number. Costs:
// one row per entity and source, kept until the entity is killed. Casts that a source sends again
// after a kill take effect again.
//
// A program that sends everything in one order, to whatever entities (such as a journal's drain),
// instead says which log it sends from, and which of its starts accepted the casts (OnceStart).
// Then the store keeps one number per start: the rows do not grow with the number of entities, a
// kill forgets nothing, and independent copies of the log do not collide, because each start draws
// a random name. Threads: any. Source of the idea: Kafka's idempotent producer.
#pragma once

#include <string>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/server/once_start.h"

namespace semper {

struct OnceCast {
  EntityId to;
  RawMessage message;
  std::uint64_t sequence = 0;
};

// Sends the casts in order, in as few transactions as the store's limits allow. `source`: who
// sends, from 1 to kOnceSourceBytes bytes of UTF-8.
// Durable on success: all of them will take effect, exactly once. On any error, or if it never
// returns, a prefix of them will; call again with the same casts.
// Errors: invalid_argument (an id or the source), exhausted (a message over the limits), retry (the
// queue of an entity is full: slow down), and the store's errors. The message names the cast.
Async<void> cast_once(Tenant tenant, std::string source, std::vector<OnceCast> casts);

// The same for casts that one start accepted; those with smaller numbers, to any entity, must have
// been sent before. Additional error: exhausted (kOnceStartsRemembered), with nothing sent: so many
// starts of the log and its copies have sent since this one that it may have been forgotten, and it
// is unknown whether the casts were sent before.
Async<void> cast_once(Tenant tenant, OnceStart from, std::vector<OnceCast> casts);

}  // namespace semper
