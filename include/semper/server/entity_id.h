// EntityId, Tenant: which durable server is meant, and in which part of which store it lives.
//
// What for: naming one entity: its behaviour's type and its own id. When not: for keys of your own.
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

  // Reads "TYPE/ID" (the first slash divides). Error: invalid_argument, saying what is wrong.
  static Result<EntityId> parse(std::string_view text);

  // Error: invalid_argument where a part is empty, too long, or not UTF-8 text.
  Status validate() const;

  std::string to_string() const { return type + "/" + id; }

  friend bool operator==(const EntityId&, const EntityId&) = default;
  friend auto operator<=>(const EntityId&, const EntityId&) = default;
};

// A store and the key prefix under which entities live. Made from a Store (the default prefix,
// shared by all tools) or with the prefix of a directory (store/directory.h). Also made from the
// result of open_store as it is: if that was an error, everything done with the tenant returns that
// error.
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
