// list_loads: which entities of a type have work, and how much; what `semper top` shows.
//
//   const semper::LoadListOptions first{.limit = 1000};
//   auto page = co_await semper::list_loads(tenant, "Counter", first);
//   // page->entities[0].waiting messages in the queue of page->entities[0].id
//
// What for: which entity is busy, stuck or flooded, of many: without reading states. When not: one entity,
// of which inspect() in server/inspect.h says everything.
//
// Reads in one transaction, at most two rows for each entity with work, and changes nothing. Entities
// whose queue is empty are not listed, however many there are; `also` names some that are looked at all
// the same: what was busy a moment ago. Two looks give a rate, by `processed`. Errors: corrupt (the message
// names the key), invalid_argument, and the store's own. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "semper/server/entity_id.h"

namespace semper {

struct EntityLoad {
  EntityId id;
  std::uint64_t waiting = 0;    // messages in its queue
  std::uint64_t processed = 0;  // messages taken from its queue so far
  bool is_locked = false;
  bool is_left_alone = false;  // to hosts that know more (EntityView::needs)
};

struct LoadListOptions {
  // Entities with work that are looked at, by shards of the index: not in the order of their ids.
  std::size_t limit = 1'000;
  // Ids to look at besides; those that are no entity, or no more, are left out.
  std::vector<std::string> also = {};
};

struct LoadPage {
  std::vector<EntityLoad> entities;  // each once
  bool has_more = false;             // more have work than the limit
};

Async<LoadPage> list_loads(Tenant tenant, std::string type, LoadListOptions options);

}  // namespace semper
