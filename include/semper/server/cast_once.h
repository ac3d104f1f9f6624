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
// after a kill takes effect again. Threads: any. Source of the idea: Kafka's idempotent producer.
#pragma once

#include <string>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/server/message.h"

namespace semper {

inline constexpr std::size_t kOnceSourceBytes = 128;

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

}  // namespace semper
