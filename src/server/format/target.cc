#include "server/format/target.h"

#include <utility>

namespace semper::internal {
namespace {

// Keys can only be made of a valid id; those of a target that is not are never used.
const EntityId& nobody() {
  static const EntityId id{"-", "-"};
  return id;
}

}  // namespace

Target::Target(Tenant of, EntityId entity)
    : tenant(std::move(of)),
      id(std::move(entity)),
      valid(tenant.store() ? id.validate() : Status(fail(tenant.store().error()))),
      keys(tenant.prefix(), valid ? id : nobody()) {}

// A URL without a path names nothing that another handle could open.
bool is_one_store(const Store& a, const Store& b) {
  if (a == b) return true;
  if (a.url() != b.url()) return false;
  const auto url = StoreUrl::parse(a.url());
  return url && !url->path.empty();
}

}  // namespace semper::internal
