// How the operations of inspect.h read: rows of one snapshot, and errors that name their key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "semper/server/entity_id.h"
#include "server/format/keys.h"
#include "server/format/orders.h"
#include "server/format/version_times.h"

namespace semper::internal::admin {

// Queue segments and dead letters read at a time.
inline constexpr std::size_t kRowsPerPage = 64;

inline WallTime wall_time(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

Error at_key(const Error& error, BytesView key);

// The first key in the range, if there is one.
Async<std::optional<Bytes>> first_key(Transaction& transaction, KeyRange range);

// As internal::read_standing, of the snapshot.
// A row of a list that cannot be read is said in the log, and keeps nobody from the others.
void pass_over(const Error& error, BytesView key);

Async<Standing> standing_in_snapshot(Transaction& transaction, const EntityKeys& keys);
// The same of an entity that is there; one that was killed is not, whatever still lies about of it.
Async<Standing> require_entity(Transaction& transaction, const EntityKeys& keys,
                               const EntityId& id);

// At most `most` of them.
Async<std::uint64_t> count_rows(Transaction& transaction, KeyRange range, std::uint64_t most);

// Calls visit(row) -> Result<bool> for the rows in order, as of one snapshot, until it gives false
// or an error.
template <class Visit>
Async<void> for_each_row(Transaction& transaction, KeyRange rest, std::size_t rows_per_page,
                         Visit visit) {
  for (bool more = true; more;) {
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range(
                                       rest, {.limit = rows_per_page, .mode = ReadMode::snapshot}));
    for (const auto& row : page.rows) {
      SEMPER_CO_TRY(const bool go_on, visit(row));
      if (!go_on) co_return Status{};
    }
    more = page.more && !page.rows.empty();
    if (more) rest.begin = key_after(page.rows.back().key);
  }
  co_return Status{};
}

// What the hosts know of the ages of versions. Rows that cannot be read count as none.
Async<VersionAges> read_version_ages(Transaction& transaction, const Tenant& tenant);
// For how long the first message of the queue has waited, at least. Nothing: none waits, or no host
// has seen it.
Async<std::optional<Duration>> age_of_first(Transaction& transaction, KeyRange queue,
                                            const VersionAges& ages);

// One read-only transaction of read(Transaction&).
template <class Read>
auto in_snapshot(const Tenant& tenant, const Read& read)
    -> std::invoke_result_t<Read, Transaction&> {
  if (!tenant.store()) co_return fail(tenant.store().error());
  co_return co_await tenant.store()->transact(read);
}

// The same about one entity: read(Transaction&, const EntityKeys&).
template <class Read>
auto in_snapshot(const Tenant& tenant, const EntityId& id, const Read& read)
    -> std::invoke_result_t<Read, Transaction&, const EntityKeys&> {
  SEMPER_CO_TRY_STATUS(id.validate());
  const EntityKeys keys(tenant.prefix(), id);
  co_return co_await in_snapshot(tenant,
                                 [&](Transaction& transaction) { return read(transaction, keys); });
}

// One of an entity's counters.
Async<std::uint64_t> count_in_snapshot(Tenant tenant, EntityId id,
                                       Bytes (EntityKeys::*counter)() const);

}  // namespace semper::internal::admin
