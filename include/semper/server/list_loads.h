// list_loads: which entities of a type have work, and how much. `semper top` uses it.
//
//   const semper::LoadListOptions first{.limit = 1000};
//   auto page = co_await semper::list_loads(tenant, "Counter", first);
//   // page->entities[0].waiting messages in the queue of page->entities[0].id
//
// What for: finding out which of many entities are busy, stuck or flooded, without reading states.
// When not: a single entity; inspect() in server/inspect.h says everything about it.
//
// Reads in one transaction, at most two rows for each entity with work, and the first segment of
// its queue if ages are wanted; changes nothing. Entities with an empty queue are not listed.
// `also` names some that are checked anyway, such as those that were busy a moment ago. Two calls
// give a rate, from `processed`. Errors: corrupt (the message names the key), invalid_argument, and
// the store's own. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "semper/base/time.h"
#include "semper/server/entity_id.h"

namespace semper {

struct EntityLoad {
  EntityId id;
  std::uint64_t waiting = 0;    // messages in its queue
  std::uint64_t processed = 0;  // messages taken from its queue so far
  bool is_locked = false;
  bool is_left_alone = false;  // left to newer hosts (EntityView::needs)
  // Its header cannot be read: it is parked, and `waiting` is at least what waits.
  bool is_damaged = false;
  // As EntityView::oldest.
  std::optional<Duration> oldest = std::nullopt;
};

struct LoadListOptions {
  // The number of entities with work that are checked, by shards of the index, not in the order of
  // their ids.
  std::size_t limit = 1'000;
  // Further ids to check; ids that are not entities, or no longer are, are omitted.
  std::vector<std::string> also = {};
  // Whether to find out how long the first message of each queue has waited.
  enum class Ages : std::uint8_t { no, yes } ages = Ages::no;
};

struct LoadPage {
  std::vector<EntityLoad> entities;  // each once
  bool has_more = false;             // more entities have work than the limit
};

Async<LoadPage> list_loads(Tenant tenant, std::string type, LoadListOptions options);

}  // namespace semper
