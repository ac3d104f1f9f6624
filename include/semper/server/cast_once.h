// cast_once: casts that may be sent again, and take effect once.
//
// What for: bridges from a place that delivers at least once and in order (a journal, a log, a queue
// of another system): what was sent and not acknowledged is sent again, and must not count twice.
// When not: programs that send to an entity directly; a Ref's cast is exactly once already.
//
//   std::vector<OnceCast> casts;
//   casts.push_back({{"Ledger", "main"}, {"Booked", encode(booked)}, offset_in_the_log});
//   SEMPER_CO_TRY_STATUS(co_await semper::cast_once(store, "orders.log", std::move(casts)));
//
// Every entity keeps, for each source that sent to it, the highest sequence number it was sent; a cast
// with that number or a lower one is passed over. So the numbers of one source must grow in the order
// in which it sends to an entity, and always be the same for the same cast.
// Costs: one row per entity and source, kept until the entity is killed; what a source sends again
// after a kill takes effect again.
//
// A program that sends everything in one order, to whatever entities (a journal's drain), says instead
// which log it sends from, and which of its starts has accepted the casts (OnceStart). Then the store
// keeps one number per start: rows do not grow with the entities, kills forget nothing, and copies of
// the log that live on by themselves do not meet, because each start has drawn a name.
// Threads: any. Source of the idea: Kafka's idempotent producer.
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

// Sends the casts in their order, in as few transactions as the store's limits allow.
// `source`: who sends, from 1 to kOnceSourceBytes bytes of UTF-8.
// Durable on success: all of them will take effect, exactly once. On any error, or where it never
// returns: those of a first part; call again with the same casts.
// Errors: invalid_argument (an id or the source), exhausted (a message over the limits), retry (the
// queue of an entity is at its bound: slow down), and the store's. The message names the cast.
Async<void> cast_once(Tenant tenant, std::string source, std::vector<OnceCast> casts);

// The same for casts that one start accepted, of which those with smaller numbers, to any entity,
// were sent before. Errors besides: exhausted (kOnceStartsRemembered), nothing was sent: so many
// starts of the log and its copies have sent after this one that it may be forgotten; whether the
// casts were sent before is not known.
Async<void> cast_once(Tenant tenant, OnceStart from, std::vector<OnceCast> casts);

}  // namespace semper
