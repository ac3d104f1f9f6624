// MapView: lists the collections (server/map.h) of an entity in a store, without their C++ types.
//
//   auto maps = co_await semper::list_maps(tenant, account.entity());     // {"lines", 10'000}
//
// For tools, dashboards and tests: reads in one transaction, and changes nothing. When not: a
// program that has the types uses the Map itself: page and count with a Ref. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "semper/server/entity_id.h"

namespace semper {

// How many entries of one collection list_maps() counts (there may be more), and how many
// collections of one entity it shows, by name.
inline constexpr std::uint64_t kMapEntriesCounted = 10'000;
inline constexpr std::size_t kMapsShown = 100;

struct MapView {
  std::string name;
  std::uint64_t entries = 0;  // counted up to kMapEntriesCounted
};

// The collections that have entries. Empty if the entity does not exist or was reset. Errors:
// invalid_argument (the id), corrupt (the message names the key), and the store's.
Async<std::vector<MapView>> list_maps(Tenant tenant, EntityId id);

}  // namespace semper
