// MapView: the collections (server/map.h) of an entity as they lie in a store, without their C++ types.
//
//   auto maps = co_await semper::list_maps(tenant, account.entity());     // {"lines", 10'000}
//
// For tools, dashboards and tests: reads in one transaction, and changes nothing. When not: a program that
// has the types asks the Map: page and count of a Ref. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "semper/server/entity_id.h"

namespace semper {

// Entries that list_maps() counts of one collection; it may have more. And collections of one entity that
// it shows, by name.
inline constexpr std::uint64_t kMapEntriesCounted = 10'000;
inline constexpr std::size_t kMapsShown = 100;

struct MapView {
  std::string name;
  std::uint64_t entries = 0;  // counted up to kMapEntriesCounted
};

// Those that have entries. Empty where the entity is not there, or was reset. Errors: invalid_argument (the
// id), corrupt (the message names the key), and the store's.
Async<std::vector<MapView>> list_maps(Tenant tenant, EntityId id);

}  // namespace semper
