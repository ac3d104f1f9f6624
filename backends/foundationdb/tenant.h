// Making the tenant that a store's URL names, where it is not there yet.
#pragma once

#include <string>

#include "connection.h"

namespace semper::foundationdb {

inline constexpr int kTenantAttempts = 10;

// Errors: unsupported (tenants are switched off in the cluster; says how to switch them on), retry (the
// cluster does not answer), and FoundationDB's own.
Async<void> ensure_tenant(std::shared_ptr<Connection> connection, std::string tenant);

}  // namespace semper::foundationdb
