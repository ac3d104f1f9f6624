#include "library.h"

#include <dlfcn.h>

#include <algorithm>

#include "semper/base/bytes.h"

namespace semper::foundationdb {
namespace {

// Collects the first name that is missing.
class Resolver {
 public:
  explicit Resolver(void* library) : library_(library) {}

  template <class Function>
  void required(Function*& function, const char* name) {
    optional(function, name);
    if (function == nullptr && missing_ == nullptr) missing_ = name;
  }

  template <class Function>
  void optional(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(::dlsym(library_, name));
  }

  const char* missing() const { return missing_; }

 private:
  void* library_;
  const char* missing_ = nullptr;
};

void resolve_client(Resolver& resolver, FdbApi& api) {
  resolver.required(api.get_max_api_version, "fdb_get_max_api_version");
  resolver.required(api.select_api_version, "fdb_select_api_version_impl");
  resolver.required(api.setup_network, "fdb_setup_network");
  resolver.required(api.run_network, "fdb_run_network");
  resolver.required(api.stop_network, "fdb_stop_network");
  resolver.required(api.get_error, "fdb_get_error");
  resolver.required(api.error_predicate, "fdb_error_predicate");
  resolver.required(api.future_set_callback, "fdb_future_set_callback");
  resolver.required(api.future_get_error, "fdb_future_get_error");
  resolver.required(api.future_get_int64, "fdb_future_get_int64");
  resolver.required(api.future_get_key, "fdb_future_get_key");
  resolver.required(api.future_get_value, "fdb_future_get_value");
  resolver.required(api.future_get_keyvalue_array, "fdb_future_get_keyvalue_array");
  resolver.required(api.future_cancel, "fdb_future_cancel");
  resolver.required(api.future_destroy, "fdb_future_destroy");
}

void resolve_database(Resolver& resolver, FdbApi& api) {
  resolver.required(api.create_database, "fdb_create_database");
  resolver.required(api.database_destroy, "fdb_database_destroy");
  resolver.required(api.database_set_option, "fdb_database_set_option");
  resolver.required(api.database_create_transaction, "fdb_database_create_transaction");
  resolver.optional(api.database_open_tenant, "fdb_database_open_tenant");
  resolver.optional(api.tenant_create_transaction, "fdb_tenant_create_transaction");
  resolver.optional(api.tenant_destroy, "fdb_tenant_destroy");
}

void resolve_transaction(Resolver& resolver, FdbApi& api) {
  resolver.required(api.transaction_destroy, "fdb_transaction_destroy");
  resolver.required(api.transaction_set_option, "fdb_transaction_set_option");
  resolver.required(api.transaction_set_read_version, "fdb_transaction_set_read_version");
  resolver.required(api.transaction_get_read_version, "fdb_transaction_get_read_version");
  resolver.required(api.transaction_get, "fdb_transaction_get");
  resolver.required(api.transaction_get_range, "fdb_transaction_get_range");
  resolver.required(api.transaction_set, "fdb_transaction_set");
  resolver.required(api.transaction_clear, "fdb_transaction_clear");
  resolver.required(api.transaction_clear_range, "fdb_transaction_clear_range");
  resolver.required(api.transaction_atomic_op, "fdb_transaction_atomic_op");
  resolver.required(api.transaction_add_conflict_range, "fdb_transaction_add_conflict_range");
  resolver.required(api.transaction_watch, "fdb_transaction_watch");
  resolver.required(api.transaction_get_versionstamp, "fdb_transaction_get_versionstamp");
  resolver.required(api.transaction_commit, "fdb_transaction_commit");
  resolver.required(api.transaction_on_error, "fdb_transaction_on_error");
}

}  // namespace

Result<FdbApi> load_library(const std::string& path) {
  const std::string name = path.empty() ? kLibraryName : path;
  void* library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return fail(ErrorKind::unsupported,
                "an fdb: store needs FoundationDB's client library, which cannot be loaded (" +
                    std::string(why == nullptr ? name : why) +
                    "); install the package foundationdb-clients of the cluster's version, or name "
                    "the file by ?library=PATH or SEMPER_FDB_LIBRARY");
  }
  FdbApi api{};
  Resolver resolver(library);
  resolve_client(resolver, api);
  resolve_database(resolver, api);
  resolve_transaction(resolver, api);
  if (resolver.missing() == nullptr) return api;
  // Nothing of it has run but its static objects.
  ::dlclose(library);
  return fail(ErrorKind::unsupported,
              to_printable(name) +
                  " is no client library of FoundationDB 6.3 or newer (it has no " +
                  resolver.missing() + "); install the package foundationdb-clients");
}

Result<int> choose_api_version(const FdbApi& api, std::optional<int> wanted,
                               const std::string& library) {
  const std::string name = to_printable(library.empty() ? kLibraryName : library);
  const int newest = api.get_max_api_version();
  if (newest < kApiVersionMinimum) {
    return fail(ErrorKind::unsupported,
                name + " speaks API versions up to " + std::to_string(newest) + ", and at least " +
                    std::to_string(kApiVersionMinimum) +
                    " is needed; install FoundationDB's clients 6.3 or newer");
  }
  if (wanted && *wanted > newest) {
    return fail(ErrorKind::unsupported,
                name + " speaks API versions up to " + std::to_string(newest) +
                    ", not api=" + std::to_string(*wanted) + "; leave ?api= out");
  }
  return wanted.value_or(std::min(newest, kApiVersionMaximum));
}

}  // namespace semper::foundationdb
