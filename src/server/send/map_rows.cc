#include "semper/server/internal/map_rows.h"

#include <algorithm>
#include <string>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/value.h"
#include "semper/server/ref.h"
#include "server/format/keys.h"
#include "server/format/orders.h"

namespace semper {

MapSource::MapSource(const RawRef& ref) : tenant_(&ref.tenant()), id_(&ref.entity()) {}

namespace internal {
namespace {

// A callback's transaction, or what it takes to read in one of its own.
class MapReader {
 public:
  explicit MapReader(const MapSource& of) : transaction_(of.transaction()) {
    if (transaction_ != nullptr) return;
    tenant_.emplace(of.tenant());
    id_ = of.id();
  }

  // read(Transaction&, ReadMode) -> Async<T>; T{} where the entity is not there, or was reset.
  template <class T, class Read>
  Async<T> run(const Read& read) const {
    const bool unchecked = SEMPER_MUTANT("server_map_read_without_a_conflict");
    const auto mode = unchecked ? ReadMode::snapshot : ReadMode::serializable;
    if (transaction_ != nullptr) co_return co_await read(*transaction_, mode);
    SEMPER_CO_TRY_STATUS(id_.validate());
    if (!tenant_->store()) co_return fail(tenant_->store().error());
    const EntityKeys keys(tenant_->prefix(), id_);
    const auto of_a_snapshot = [&](Transaction& transaction) -> Async<T> {
      SEMPER_CO_TRY(const auto standing,
                    co_await read_standing(transaction, keys, ReadMode::snapshot));
      const bool is_dead = !standing.has_collections();
      if (is_dead && !SEMPER_MUTANT("server_dead_entries_are_read")) co_return T{};
      co_return co_await read(transaction, ReadMode::snapshot);
    };
    co_return co_await tenant_->store()->transact(of_a_snapshot);
  }

 private:
  Transaction* transaction_;
  std::optional<Tenant> tenant_;
  EntityId id_;
};

Bytes prefix_of(const MapSource& of, std::string_view name) {
  const EntityKeys keys(of.tenant().prefix(), of.id());
  return keys.collection(name);
}

Async<std::optional<Bytes>> get(MapReader reader, Result<Bytes> key, Bytes prefix) {
  SEMPER_CO_TRY(const auto tuple, std::move(key));
  const Bytes row = prefix + tuple;
  const auto read = [&](Transaction& transaction, ReadMode mode) {
    return transaction.get(row, mode);
  };
  co_return co_await reader.run<std::optional<Bytes>>(read);
}

Result<KeyRange> rows_from(const Bytes& prefix, const MapStart& start, semper::Order order) {
  KeyRange rows = entries_below(prefix);
  if (!start.key) return rows;
  if (!*start.key) return fail(start.key->error());
  const Bytes key = prefix + **start.key;
  const bool ascends = order == semper::Order::ascending;
  // The keys of one map have one shape: none continues another.
  Bytes bound = start.is_included == ascends ? key : key_after(key);
  (ascends ? rows.begin : rows.end) = std::move(bound);
  return rows;
}

Async<RangePage> page(MapReader reader, Bytes prefix, MapStart start, std::size_t limit,
                      semper::Order order) {
  SEMPER_CO_TRY(const KeyRange rows, rows_from(prefix, start, order));
  if (limit == 0 || limit > kMapPageMaximum) {
    co_return fail(ErrorKind::invalid_argument, Limit{"kMapPageMaximum", kMapPageMaximum},
                   "a page of a map has 1 to " + std::to_string(kMapPageMaximum) +
                       " entries, not " + std::to_string(limit));
  }
  RangeOptions options;
  options.limit = limit;
  options.order = order;
  const auto read = [&](Transaction& transaction, ReadMode mode) {
    RangeOptions chosen = options;
    chosen.mode = mode;
    return transaction.get_range(rows, chosen);
  };
  SEMPER_CO_TRY(auto found, co_await reader.run<RangePage>(read));
  for (auto& row : found.rows) row.key.erase(0, prefix.size());
  if (SEMPER_MUTANT("server_map_page_is_all") && found.rows.size() == limit) found.more = false;
  co_return found;
}

Async<std::uint64_t> count(MapReader reader, Bytes prefix, std::uint64_t most) {
  const auto read = [&](Transaction& transaction, ReadMode mode) -> Async<std::uint64_t> {
    KeyRange rest = entries_below(prefix);
    std::uint64_t number = 0;
    for (bool more = true; more && number < most;) {
      RangeOptions options;
      options.limit =
          static_cast<std::size_t>(std::min<std::uint64_t>(most - number, kMapPageMaximum));
      options.mode = mode;
      SEMPER_CO_TRY(const auto found, co_await transaction.get_range(rest, options));
      number += found.rows.size();
      more = found.more && !found.rows.empty();
      if (more) rest.begin = key_after(found.rows.back().key);
    }
    co_return number;
  };
  co_return co_await reader.run<std::uint64_t>(read);
}

// The key of the row, where both can be stored.
Bytes checked_key(const MapSource& of, std::string_view name, Result<Bytes> key,
                  const std::optional<Bytes>& value) {
  const Bytes tuple = semper::value(std::move(key));
  const auto refuse = [&](const char* what, std::size_t bytes, Limit limit) {
    throw ErrorException(Error(ErrorKind::exhausted, limit,
                               "map " + std::string(name) + " of " + of.id().to_string() + ": " +
                                   what + " of " + std::to_string(bytes) + " bytes is over " +
                                   limit.name + " = " + std::to_string(limit.value)));
  };
  if (tuple.size() > kMapKeyBytesMaximum) {
    refuse("a key", tuple.size(), Limit{"kMapKeyBytesMaximum", kMapKeyBytesMaximum});
  }
  if (value && value->size() > kMapValueBytesMaximum) {
    refuse("a value", value->size(), Limit{"kMapValueBytesMaximum", kMapValueBytesMaximum});
  }
  return prefix_of(of, name) + tuple;
}

}  // namespace

Async<std::optional<Bytes>> get_map_row(const MapSource& of, std::string_view name,
                                        Result<Bytes> key) {
  return get(MapReader(of), std::move(key), prefix_of(of, name));
}

Async<RangePage> get_map_page(const MapSource& of, std::string_view name, MapStart start,
                              std::size_t limit, semper::Order order) {
  return page(MapReader(of), prefix_of(of, name), std::move(start), limit, order);
}

Async<std::uint64_t> count_map_rows(const MapSource& of, std::string_view name,
                                    std::uint64_t most) {
  return count(MapReader(of), prefix_of(of, name), most);
}

void write_map_row(Context& context, std::string_view name, Result<Bytes> key,
                   std::optional<Bytes> value) {
  const Bytes row = checked_key(context, name, std::move(key), value);
  if (value) {
    context.transaction().set(row, *value);
  } else {
    context.transaction().clear(row);
  }
}

void write_map_row(LockedContext& context, std::string_view name, Result<Bytes> key,
                   std::optional<Bytes> value) {
  Bytes row = checked_key(context, name, std::move(key), value);
  context.with_result([row = std::move(row), value = std::move(value)](Transaction& transaction) {
    if (value) {
      transaction.set(row, *value);
    } else {
      transaction.clear(row);
    }
  });
}

}  // namespace internal
}  // namespace semper
