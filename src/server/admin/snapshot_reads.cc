#include "server/admin/snapshot_reads.h"

#include "semper/base/log.h"
#include "semper/store/tuple_text.h"
#include "server/format/records.h"

namespace semper::internal::admin {

Error at_key(const Error& error, BytesView key) {
  return error.in("key " + printable_key(key));
}

void pass_over(const Error& error, BytesView key) {
  log_warning("server",
              "a row cannot be read, and is passed over: " + at_key(error, key).to_string());
}

Async<std::optional<Bytes>> first_key(Transaction& transaction, KeyRange range) {
  if (range.empty()) co_return std::nullopt;
  SEMPER_CO_TRY(auto page, co_await transaction.get_range(
                               std::move(range), {.limit = 1, .mode = ReadMode::snapshot}));
  if (page.rows.empty()) co_return std::nullopt;
  co_return std::move(page.rows.front().key);
}

Async<Standing> standing_in_snapshot(Transaction& transaction, const EntityKeys& keys) {
  auto standing = co_await read_standing(transaction, keys, ReadMode::snapshot);
  if (!standing) co_return fail(at_key(standing.error(), keys.header()));
  co_return std::move(*standing);
}

Async<Standing> require_entity(Transaction& transaction, const EntityKeys& keys,
                               const EntityId& id) {
  SEMPER_CO_TRY(auto first, co_await first_key(transaction, keys.everything()));
  if (first) {
    SEMPER_CO_TRY(auto standing, co_await standing_in_snapshot(transaction, keys));
    if (!standing.is_killed()) co_return std::move(standing);
    SEMPER_CO_TRY(first, co_await first_key(transaction, standing.queue(keys)));
    if (first) co_return std::move(standing);
  }
  co_return fail(ErrorKind::not_found,
                 "there is no " + id.to_string() + ": it has neither a state nor messages");
}

Async<std::uint64_t> count_rows(Transaction& transaction, KeyRange range, std::uint64_t most) {
  std::uint64_t rows = 0;
  const auto count = [&](const KeyValue&) -> Result<bool> {
    ++rows;
    return rows < most;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, std::move(range), 0, count));
  co_return rows;
}

Async<VersionAges> read_version_ages(Transaction& transaction, const Tenant& tenant) {
  VersionAges ages;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    ages.add(row.value);
    return true;
  };
  SEMPER_CO_TRY_STATUS(
      co_await for_each_row(transaction, version_times_range(tenant.prefix()), 0, add));
  co_return std::move(ages);
}

Async<std::optional<Duration>> age_of_first(Transaction& transaction, KeyRange queue,
                                            const VersionAges& ages) {
  SEMPER_CO_TRY(const auto first, co_await first_key(transaction, std::move(queue)));
  if (!first) co_return std::nullopt;
  SEMPER_CO_TRY(const auto stamp, EntityKeys::stamp_in(*first));
  co_return ages.age_of(stamp.version());
}

Async<std::uint64_t> count_in_snapshot(Tenant tenant, EntityId id,
                                       Bytes (EntityKeys::*counter)() const) {
  const auto read = [&](Transaction& transaction, const EntityKeys& keys) -> Async<std::uint64_t> {
    SEMPER_CO_TRY(const auto row, co_await transaction.get((keys.*counter)(), ReadMode::snapshot));
    co_return counter_value(row);
  };
  co_return co_await in_snapshot(tenant, id, read);
}

}  // namespace semper::internal::admin
