#include "peers.h"

#include <algorithm>
#include <utility>

#include "outbox.h"
#include "served_type.h"
#include "sessions.h"
#include "target.h"

namespace semper::internal {

std::shared_ptr<ServedType> Peers::find_host(const Bytes& tenant_prefix, const std::string& type) {
  std::lock_guard lock(mutex_);
  for (const auto& served : served_) {
    if (served.name == type && served.tenant_prefix == tenant_prefix) return served.type.lock();
  }
  return nullptr;
}

bool Peers::add_host(const Bytes& tenant_prefix, const std::shared_ptr<ServedType>& served) {
  std::vector<std::shared_ptr<ServedType>> others;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  for (const auto& other : served_) {
    if (other.name != served->type() || other.tenant_prefix != tenant_prefix) continue;
    others.push_back(other.type.lock());
    if (others.back() && !others.back()->has_behaviour_of(*served)) return false;
  }
  // The host that was added last is the one that is found.
  served_.insert(served_.begin(), {tenant_prefix, served, served->type()});
  return true;
}

void Peers::remove_host(const Bytes& tenant_prefix, const ServedType& served) {
  std::lock_guard lock(mutex_);
  std::erase_if(served_, [&](const Served& other) {
    const auto type = other.type.lock();
    return !type || (type.get() == &served && other.tenant_prefix == tenant_prefix);
  });
}

Peers::Publishers Peers::publishers(const Tenant& tenant) {
  std::lock_guard lock(mutex_);
  auto found = std::find_if(published_.begin(), published_.end(), [&](const Published& published) {
    return published.tenant_prefix == tenant.prefix();
  });
  if (found == published_.end()) {
    // Tenants that nobody in this process uses any more.
    std::erase_if(published_, [](const Published& published) {
      return published.outbox.expired() && published.sessions.expired();
    });
    found = published_.end();
    found = published_.insert(found, {tenant.prefix(), {}, {}});
  }
  Publishers publishers{found->outbox.lock(), found->sessions.lock()};
  if (!publishers.outbox) {
    publishers.outbox = std::make_shared<Outbox>(*tenant.store());
    found->outbox = publishers.outbox;
  }
  if (!publishers.sessions) {
    publishers.sessions = std::make_shared<Sessions>(tenant, publishers.outbox);
    found->sessions = publishers.sessions;
  }
  return publishers;
}

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
      keys(tenant.prefix(), valid ? id : nobody()) {
  if (!tenant.store()) return;
  peers = Peers::of(store());
  auto publishers = peers->publishers(tenant);
  outbox = std::move(publishers.outbox);
  sessions = std::move(publishers.sessions);
}

}  // namespace semper::internal
