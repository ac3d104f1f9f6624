// The rows of an entity's collections, for server/map.h and server/entity_log.h: names and bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "semper/server/context.h"
#include "semper/store/keys.h"

namespace semper {

class RawRef;

// Of what is in a collection; looked at where it is written.
inline constexpr std::size_t kMapKeyBytesMaximum = 1024;  // of the tuple that the key is stored as
inline constexpr std::size_t kMapValueBytesMaximum = 64u << 10;
inline constexpr std::size_t kMapNameBytesMaximum = 64;
// Of one page. A page ends before that where its entries have 4 MiB, about.
inline constexpr std::size_t kMapPageMaximum = 1'000;

// Whose collection is read: the entity's of a callback, within its transaction; and, as it was
// committed last, that of handle_locked's entity, or of any entity, by its Ref.
class MapSource {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a Context is where its entity's collections are.
  MapSource(const Context& context)
      : transaction_(&context.transaction()), tenant_(&context.tenant()), id_(&context.id()) {}
  MapSource(const LockedContext& context) : tenant_(&context.tenant()), id_(&context.id()) {}
  MapSource(const RawRef& ref);
  template <class Behaviour>
  MapSource(const Ref<Behaviour>& ref) : MapSource(ref.untyped()) {}
  // NOLINTEND(google-explicit-constructor)

  Transaction* transaction() const { return transaction_; }
  const Tenant& tenant() const { return *tenant_; }
  const EntityId& id() const { return *id_; }

 private:
  Transaction* transaction_ = nullptr;
  const Tenant* tenant_;
  const EntityId* id_;
};

namespace internal {

// Of a collection: what people write in code and see in tools.
constexpr bool is_collection_name(std::string_view name) {
  if (name.empty() || name.size() > kMapNameBytesMaximum) return false;
  for (const char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (!is_plain) return false;
  }
  return true;
}

// The place in the order of keys where a page begins.
struct MapStart {
  MapStart() = default;  // at the end that the order begins with
  MapStart(Result<Bytes> at, bool with) : key(std::move(at)), is_included(with) {}

  std::optional<Result<Bytes>> key;
  bool is_included = true;
};

// Keys are tuples, in what is returned, too. Errors of reads: those of the key, and of the
// transaction.
Async<std::optional<Bytes>> get_map_row(const MapSource& of, std::string_view name,
                                        Result<Bytes> key);
Async<RangePage> get_map_page(const MapSource& of, std::string_view name, MapStart start,
                              std::size_t limit, semper::Order order);
Async<std::uint64_t> count_map_rows(const MapSource& of, std::string_view name, std::uint64_t most);

// These throw ErrorException: the callback's message fails. No value: the row is cleared.
void write_map_row(Context& context, std::string_view name, Result<Bytes> key,
                   std::optional<Bytes> value);
void write_map_row(LockedContext& context, std::string_view name, Result<Bytes> key,
                   std::optional<Bytes> value);

}  // namespace internal
}  // namespace semper
