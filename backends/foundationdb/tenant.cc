#include "tenant.h"

#include <array>

namespace semper::foundationdb {
namespace {

// Tenants are made by writing to FoundationDB's management keys. Which of these places a client
// knows depends on its release and API version: that of 7.2 and newer, that of 7.1.
constexpr std::array<BytesView, 2> kTenantMaps = {"\xff\xff/management/tenant/map/",
                                                  "\xff\xff/management/tenant_map/"};

bool is_unknown_place(FdbError code) {
  return code == code::kSpecialKeysNoModule || code == code::kSpecialKeysNoWriteModule;
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

// False: this client knows no such place.
Async<bool> make_at(std::shared_ptr<const Database> database, std::string tenant, BytesView map) {
  const Bytes key = Bytes(map) + tenant;
  SEMPER_CO_TRY(auto transaction, database->begin());
  for (int attempt = 1;; ++attempt) {
    SEMPER_CO_TRY(const FdbError code, co_await make_once(*transaction, key));
    if (code == 0 || code == code::kTenantAlreadyExists) co_return true;
    if (is_unknown_place(code)) co_return false;
    // A tenant that was made all the same is found by the next attempt.
    Future again = transaction->on_error(code);
    SEMPER_CO_TRY(const FdbError given_up, co_await again.ready());
    if (given_up != 0 || attempt == kTenantAttempts) {
      co_return fail(refused(*database, code, tenant));
    }
  }
}

}  // namespace

Async<void> ensure_tenant(std::shared_ptr<const Database> database, std::string tenant) {
  for (const BytesView map : kTenantMaps) {
    SEMPER_CO_TRY(const bool made, co_await make_at(database, tenant, map));
    if (made) break;
  }
  co_return Status{};
}

}  // namespace semper::foundationdb
