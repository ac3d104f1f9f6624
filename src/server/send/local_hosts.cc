#include "server/send/local_hosts.h"

namespace semper::internal {

std::shared_ptr<LocalServer> LocalHosts::find(const Bytes& tenant_prefix, const std::string& type) {
  std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry.type == type && entry.tenant_prefix == tenant_prefix) return entry.server.lock();
  }
  return nullptr;
}

bool LocalHosts::add(const Bytes& tenant_prefix, const std::shared_ptr<LocalServer>& server) {
  std::vector<std::shared_ptr<LocalServer>> others;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry.type != server->type() || entry.tenant_prefix != tenant_prefix) continue;
    others.push_back(entry.server.lock());
    const auto& other = others.back();
    if (other && other->behaviour_type() != server->behaviour_type()) return false;
  }
  // The host that was added last is the one that is found.
  entries_.insert(entries_.begin(), {tenant_prefix, server, server->type()});
  return true;
}

void LocalHosts::remove(const Bytes& tenant_prefix, const LocalServer& server) {
  std::vector<std::shared_ptr<LocalServer>> others;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Entry& entry) {
    others.push_back(entry.server.lock());
    const auto& known = others.back();
    return !known || (known.get() == &server && entry.tenant_prefix == tenant_prefix);
  });
}

}  // namespace semper::internal
