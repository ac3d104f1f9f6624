// What list_loads.h says of entities with work.
#include <set>
#include <utility>

#include "semper/server/list_loads.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/needs.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;
using namespace internal::admin;

// Index entries read at a time.
constexpr std::size_t kEntriesPerPage = 256;

// Nothing: there is no such entity.
// `ages`: null: they are not wanted.
Async<std::optional<EntityLoad>> load_of(Transaction& transaction, const Tenant& tenant,
                                         EntityId id, const internal::VersionAges* ages) {
  const EntityKeys keys(tenant.prefix(), id);
  EntityLoad load;
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.header(), ReadMode::snapshot));
  SEMPER_CO_TRY(const auto pushed, co_await transaction.get(keys.pushed(), ReadMode::snapshot));
  if (!raw && !pushed) co_return std::nullopt;
  if (raw) {
    const auto header = internal::Header::decode(*raw);
    load.is_damaged = !header;
    if (header) {
      load.processed = header->popped;
      load.is_locked = header->lock.has_value();
    }
  }
  load.waiting = internal::count_waiting(pushed, load.processed);
  if (ages != nullptr && load.waiting > 0) {
    SEMPER_CO_TRY(load.oldest, co_await age_of_first(transaction, keys.queue(), *ages));
  }
  load.id = std::move(id);
  co_return load;
}

Async<LoadPage> read_loads(Transaction& transaction, const Tenant& tenant, const std::string& type,
                           const LoadListOptions& options) {
  const auto& prefix = tenant.prefix();
  std::vector<std::pair<std::string, bool>> wanted;  // and whether it is left alone
  LoadPage page;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    SEMPER_TRY(auto id, internal::id_of_index_key(prefix, row.key));
    page.has_more = wanted.size() == options.limit;
    if (page.has_more) return false;
    wanted.emplace_back(std::move(id), internal::Needs::decode(row.value).has_value());
    return true;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, internal::index_of_type(prefix, type),
                                             kEntriesPerPage, add));
  std::set<std::string> ids;
  for (const auto& [id, left] : wanted) ids.insert(id);
  for (const auto& id : options.also) {
    if (ids.insert(id).second) wanted.emplace_back(id, false);
  }
  const bool wants_ages = options.ages == LoadListOptions::Ages::yes;
  internal::VersionAges ages;
  if (wants_ages && !wanted.empty()) {
    SEMPER_CO_TRY(ages, co_await read_version_ages(transaction, tenant));
  }
  for (auto& [id, left] : wanted) {
    const EntityId entity{type, std::move(id)};
    SEMPER_CO_TRY(auto load,
                  co_await load_of(transaction, tenant, entity, wants_ages ? &ages : nullptr));
    if (!load) continue;
    load->is_left_alone = left;
    page.entities.push_back(std::move(*load));
  }
  co_return page;
}

}  // namespace

Async<LoadPage> list_loads(Tenant tenant, std::string type, LoadListOptions options) {
  const EntityId any{type, "any"};
  SEMPER_CO_TRY_STATUS(any.validate());
  co_return co_await in_snapshot(tenant, [&](Transaction& transaction) {
    return read_loads(transaction, tenant, type, options);
  });
}

}  // namespace semper
