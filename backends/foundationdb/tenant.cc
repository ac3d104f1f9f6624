#include "tenant.h"

#include "snapshot.h"

namespace semper::foundationdb {
namespace {

// Tenants are made by writing to FoundationDB's management keys.
Bytes management_key(const Database& database, const std::string& tenant) {
  const bool new_place = database.client()->api_version() >= kApiVersionOfTenantMap;
  return (new_place ? "\xff\xff/management/tenant/map/" : "\xff\xff/management/tenant_map/") +
         tenant;
}

// FoundationDB's code: 0 where the tenant is there now.
Async<FdbError> make_once(RawTransaction& transaction, const Bytes& key) {
  transaction.set_timeout(kConnectTimeout);
  transaction.enable_special_key_writes();
  Future present = transaction.get(key);
  SEMPER_CO_TRY(const FdbError code, co_await present.ready());
  if (code != 0) co_return code;
  if (present.value()) co_return 0;
  transaction.set(key, "");
  Future made = transaction.commit();
  co_return co_await made.ready();
}

Error refused(const Database& database, FdbError code, const std::string& tenant) {
  // What a cluster answers where tenants are switched off differs from version to version.
  if (code == code::kSpecialKeysFailure) code = code::kTenantsDisabled;
  return database.error(code, Stage::opening).in("tenant " + to_printable(tenant));
}

}  // namespace

Async<void> ensure_tenant(std::shared_ptr<Connection> connection, std::string tenant) {
  const Database& database = *connection->database;
  const Bytes key = management_key(database, tenant);
  SEMPER_CO_TRY(auto transaction, database.begin_outside_tenant());
  for (int attempt = 1;; ++attempt) {
    SEMPER_CO_TRY(const FdbError code, co_await make_once(*transaction, key));
    if (code == 0 || code == code::kTenantAlreadyExists) co_return Status{};
    // A tenant that was made all the same is found by the next attempt.
    Future again = transaction->on_error(code);
    SEMPER_CO_TRY(const FdbError given_up, co_await again.ready());
    if (given_up != 0 || attempt == kTenantAttempts) {
      co_return fail(refused(database, code, tenant));
    }
  }
}

}  // namespace semper::foundationdb
