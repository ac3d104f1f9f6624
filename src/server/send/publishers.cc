#include "server/send/publishers.h"

#include <algorithm>

#include "server/send/outbox.h"
#include "server/send/relay.h"
#include "server/send/sessions.h"

namespace semper::internal {

Publishers PublishersOfStore::of(const Tenant& tenant) {
  std::lock_guard lock(mutex_);
  auto& known = entry(tenant.prefix());
  Publishers publishers{known.outbox.lock(), known.sessions.lock(), known.relays.lock()};
  if (!publishers.outbox) {
    publishers.outbox = std::make_shared<Outbox>(*tenant.store());
    known.outbox = publishers.outbox;
  }
  if (!publishers.sessions) {
    publishers.sessions = std::make_shared<Sessions>(tenant, publishers.outbox);
    known.sessions = publishers.sessions;
  }
  if (!publishers.relays) {
    publishers.relays = std::make_shared<Relays>(tenant, publishers.outbox);
    known.relays = publishers.relays;
  }
  return publishers;
}

PublishersOfStore::Entry& PublishersOfStore::entry(const Bytes& tenant_prefix) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& known) {
    return known.tenant_prefix == tenant_prefix;
  });
  if (found != entries_.end()) return *found;
  // Tenants that nobody in this process uses any more.
  std::erase_if(entries_, [](const Entry& known) {
    return known.outbox.expired() && known.sessions.expired() && known.relays.expired();
  });
  return entries_.emplace_back(Entry{tenant_prefix, {}, {}, {}});
}

}  // namespace semper::internal
