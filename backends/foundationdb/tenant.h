// Making the tenant that a store's URL names, where it is not there yet.
#pragma once

#include <string>

#include "database.h"

namespace semper::foundationdb {

inline constexpr int kTenantAttempts = 10;

// Before the tenant is entered: a client remembers that one was not there. A client that cannot
// make tenants at its API version does nothing; whether it is there shows when it is entered.
// Errors: unsupported (tenants are switched off in the cluster; says how to switch them on), retry
// (the cluster does not answer), and FoundationDB's own.
Async<void> ensure_tenant(std::shared_ptr<const Database> database, std::string tenant);

}  // namespace semper::foundationdb
