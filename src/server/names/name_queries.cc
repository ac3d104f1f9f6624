// Who holds which names, for whoever has the store.
#include <algorithm>
#include <map>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/server/list_names.h"
#include "server/format/name_keys.h"
#include "server/names/name_claims.h"

namespace semper {
namespace {

Async<std::optional<NameView>> look_up(Tenant tenant, std::string name) {
  if (!tenant.store()) co_return fail(tenant.store().error());
  SEMPER_CO_TRY_STATUS(internal::check_name_text(name));
  const auto read = [&](Transaction& transaction) {
    return internal::read_holder(transaction, tenant.prefix(), name, ReadMode::snapshot);
  };
  SEMPER_CO_TRY(const auto record, co_await tenant.store()->transact(read));
  if (!record) co_return std::nullopt;
  co_return internal::view_of(std::move(name), *record);
}

Status check_query(const NameQuery& query) {
  SEMPER_TRY_STATUS(internal::check_name_metadata(query.where));
  if (query.limit == 0 || query.limit > kNamesPerPageMaximum) {
    return fail(ErrorKind::invalid_argument, Limit{"kNamesPerPageMaximum", kNamesPerPageMaximum},
                "a page has 1 to " + std::to_string(kNamesPerPageMaximum) + " names, not " +
                    std::to_string(query.limit));
  }
  if (is_utf8(query.prefix) && is_utf8(query.after)) return {};
  return fail(ErrorKind::invalid_argument,
              "listing names: they are UTF-8, and the given prefix or start is not");
}

// Where to look: the rows of names, or of one field's value.
KeyRange range_of(BytesView prefix, const NameQuery& query) {
  if (query.where.empty()) {
    KeyRange range = internal::names_with_prefix(prefix, query.prefix);
    if (!query.after.empty()) {
      range.begin = std::max(range.begin, key_after(internal::name_key(prefix, query.after)));
    }
    return range;
  }
  const auto& [field, value] = *query.where.begin();
  KeyRange range = internal::names_with_field(prefix, field, value);
  if (!query.prefix.empty()) {
    Bytes begin = internal::name_field_key(prefix, field, value, query.prefix);
    begin.pop_back();                 // what ends a text
    range = {begin, begin + '\xff'};  // no byte of UTF-8 is so high
  }
  if (!query.after.empty()) {
    range.begin = std::max(range.begin,
                           key_after(internal::name_field_key(prefix, field, value, query.after)));
  }
  return range;
}

bool has_all(const NameMetadata& metadata, const NameMetadata& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& field) {
    const auto found = metadata.find(field.first);
    return found != metadata.end() && found->second == field.second;
  });
}

// The row of a name that was found, by itself or by the index of a field.
Async<std::optional<internal::NameRecord>> record_of(Transaction& transaction, BytesView prefix,
                                                     const std::string& name, const KeyValue& found,
                                                     const NameQuery& query) {
  std::optional<Bytes> row;
  if (query.where.empty()) {
    row = found.value;
  } else {
    const Bytes key = internal::name_key(prefix, name);
    SEMPER_CO_TRY(row, co_await transaction.get(key, ReadMode::snapshot));
  }
  if (!row) co_return std::nullopt;
  auto record = internal::NameRecord::decode(*row);
  if (!record) co_return fail(record.error().in("the name " + name));
  if (!has_all(record->metadata, query.where)) co_return std::nullopt;
  co_return std::move(*record);
}

Async<NamePage> read_page(Transaction& transaction, BytesView prefix, const NameQuery& query) {
  NamePage page;
  RangeOptions rows;
  rows.limit = query.limit;
  rows.mode = ReadMode::snapshot;
  SEMPER_CO_TRY(const auto found, co_await transaction.get_range(range_of(prefix, query), rows));
  std::map<Bytes, bool> sessions;  // of which many names may be
  for (const auto& row : found.rows) {
    auto name = query.where.empty() ? internal::name_in_key(prefix, row.key)
                                    : internal::name_of_field_key(prefix, row.key);
    if (!name) co_return fail(name.error());
    if (found.more || found.rows.size() >= query.limit) page.next = *name;
    SEMPER_CO_TRY(const auto record, co_await record_of(transaction, prefix, *name, row, query));
    if (!record) continue;
    auto known = sessions.find(record->session);
    if (known == sessions.end()) {
      SEMPER_CO_TRY(const bool lives,
                    co_await internal::session_lives(transaction, prefix, record->session,
                                                     ReadMode::snapshot));
      known = sessions.emplace(record->session, lives).first;
    }
    if (known->second) page.names.push_back(internal::view_of(std::move(*name), *record));
  }
  co_return page;
}

Async<NamePage> list(Tenant tenant, NameQuery query) {
  if (!tenant.store()) co_return fail(tenant.store().error());
  SEMPER_CO_TRY_STATUS(check_query(query));
  const auto read = [&](Transaction& transaction) {
    return read_page(transaction, tenant.prefix(), query);
  };
  co_return co_await tenant.store()->transact(read);
}

}  // namespace

Async<std::optional<NameView>> lookup_name(Tenant tenant, std::string name) {
  return run_through(look_up(std::move(tenant), std::move(name)));
}

Async<NamePage> list_names(Tenant tenant, NameQuery query) {
  return run_through(list(std::move(tenant), std::move(query)));
}

}  // namespace semper
