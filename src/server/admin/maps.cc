// What list_maps.h says of an entity's collections.
#include <utility>

#include "semper/server/list_maps.h"
#include "server/admin/snapshot_reads.h"

namespace semper {
namespace {

using internal::EntityKeys;
using namespace internal::admin;

Async<std::vector<MapView>> read_maps(Transaction& transaction, const Tenant& tenant,
                                      const EntityKeys& keys) {
  std::vector<MapView> maps;
  SEMPER_CO_TRY(const auto standing, co_await standing_in_snapshot(transaction, keys));
  if (!standing.has_collections()) co_return maps;
  KeyRange rest = keys.collections();
  while (maps.size() < kMapsShown) {
    SEMPER_CO_TRY(const auto key, co_await first_key(transaction, rest));
    if (!key) break;
    auto name = internal::name_of_collection_key(tenant.prefix(), *key);
    if (!name) co_return fail(at_key(name.error(), *key));
    const KeyRange entries = internal::entries_below(keys.collection(*name));
    MapView view;
    SEMPER_CO_TRY(view.entries, co_await count_rows(transaction, entries, kMapEntriesCounted));
    view.name = std::move(*name);
    maps.push_back(std::move(view));
    rest.begin = entries.end;
  }
  co_return maps;
}

}  // namespace

Async<std::vector<MapView>> list_maps(Tenant tenant, EntityId id) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_maps(transaction, tenant, keys);
  });
}

}  // namespace semper
