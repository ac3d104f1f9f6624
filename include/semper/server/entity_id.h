// EntityId, Tenant: names a durable server, and the part of a store that it is in.
//
// What for: naming one entity by its behaviour's type and its own id. When not: for your own keys.
//
//   EntityId id{"package", "libc6:amd64"};      // written "package/libc6:amd64"
//   Tenant tenant(store);                       // the default part of the store
//
// Bounds: type 1 to 128 bytes without '/', id 1 to 1,024 bytes, both UTF-8 without control
// characters.
#pragma once

#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/store.h"

namespace semper {

inline constexpr std::size_t kEntityTypeBytesMaximum = 128;
inline constexpr std::size_t kEntityIdBytesMaximum = 1024;

struct EntityId {
  std::string type;
  std::string id;

  // Parses "TYPE/ID" (the first slash separates the two). Error: invalid_argument, saying what is
  // wrong.
  static Result<EntityId> parse(std::string_view text);

  // Error: invalid_argument if a part is empty, too long or not UTF-8 text.
  Status validate() const;

  std::string to_string() const { return type + "/" + id; }

  friend bool operator==(const EntityId&, const EntityId&) = default;
  friend auto operator<=>(const EntityId&, const EntityId&) = default;
};

// A store, and the key prefix of the entities in it. Created from a Store (with the default prefix,
// which all tools share) or with the prefix of a directory (store/directory.h). You can also create
// it directly from the result of open_store: if that is an error, every operation on the tenant
// returns that error.
class Tenant {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a store is a tenant.
  Tenant(Store store);
  Tenant(Result<Store> store);
  // NOLINTEND(google-explicit-constructor)
  Tenant(Store store, Bytes prefix);

  const Result<Store>& store() const { return store_; }
  const Bytes& prefix() const { return prefix_; }

  // The prefix of Tenant(store).
  static Bytes default_prefix();

 private:
  Result<Store> store_;
  Bytes prefix_;
};

}  // namespace semper
