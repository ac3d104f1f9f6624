#include "errors.h"

#include <algorithm>
#include <array>

namespace semper::foundationdb {
namespace {

struct Meaning {
  FdbError code;
  ErrorKind kind;
  const char* next;            // what to do
  Limit limit = {nullptr, 0};  // of what asks for too much, however much room there is
};

// The same at every stage: nothing was applied.
constexpr std::array kMeanings = {
    Meaning{
        code::kTransactionTooOld, ErrorKind::conflict,
        "the version that it read at is no longer kept (more than 5 s, or the cluster recovered in "
        "between); run the whole transaction again"},
    Meaning{code::kFutureVersion, ErrorKind::conflict,
            "the storage servers lag behind; run the whole transaction again"},
    Meaning{
        code::kNotCommitted, ErrorKind::conflict,
        "something this transaction has read was changed by another one; nothing was applied, run "
        "the whole transaction again"},
    Meaning{code::kProcessBehind, ErrorKind::retry, "the storage servers lag behind; try later"},
    Meaning{
        code::kDatabaseLocked, ErrorKind::retry,
        "a restore, a switch-over or an operator holds the cluster's lock (fdbcli: unlock); try "
        "later"},
    Meaning{code::kCommitProxyMemoryLimit, ErrorKind::retry,
            "the cluster is overloaded; slow down"},
    Meaning{code::kGrvProxyMemoryLimit, ErrorKind::retry, "the cluster is overloaded; slow down"},
    Meaning{code::kBatchThrottled, ErrorKind::retry, "the cluster is overloaded; slow down"},
    Meaning{code::kTagThrottled, ErrorKind::retry, "the cluster throttles this tag; slow down"},
    Meaning{code::kProxyTagThrottled, ErrorKind::retry,
            "the cluster throttles this tag; slow down"},
    Meaning{code::kStorageQuotaExceeded, ErrorKind::exhausted,
            "the tenant's quota is used up; remove data or raise it"},
    Meaning{code::kNoClusterFile, ErrorKind::not_found,
            "copy the cluster file from a machine of the cluster, and name it: fdb:PATH"},
    Meaning{code::kIncompatibleProtocol, ErrorKind::unsupported,
            "client library and cluster are of different release lines; install the clients of the "
            "cluster's version"},
    Meaning{
        code::kTransactionTooLarge, ErrorKind::exhausted,
        "keys, values and conflict ranges of one transaction are over FoundationDB's 10,000,000 "
        "bytes; split it, nothing was applied",
        Limit{"transaction_bytes", 10'000'000}},
    Meaning{code::kKeyTooLarge, ErrorKind::exhausted,
            "a key is over FoundationDB's 10,000 bytes; nothing was applied",
            Limit{"key_bytes", 10'000}},
    Meaning{code::kValueTooLarge, ErrorKind::exhausted,
            "a value is over FoundationDB's 100,000 bytes; nothing was applied",
            Limit{"value_bytes", 100'000}},
    Meaning{code::kConnectionStringInvalid, ErrorKind::invalid_argument,
            "the cluster file is damaged; copy it from a machine of the cluster"},
    Meaning{code::kTlsError, ErrorKind::io,
            "look at the certificates that FDB_TLS_CERTIFICATE_FILE, FDB_TLS_KEY_FILE and "
            "FDB_TLS_CA_FILE name"},
    Meaning{code::kTenantNameRequired, ErrorKind::invalid_argument,
            "the cluster takes transactions of tenants only; name one: ?tenant=NAME"},
    Meaning{
        code::kTenantNotFound, ErrorKind::not_found,
        "make it (fdbcli: tenant create NAME), or open the store anew without ?api=, which makes "
        "it"},
    Meaning{
        code::kTenantsDisabled, ErrorKind::unsupported,
        "tenants are switched off in this cluster; leave ?tenant= out, or switch them on (fdbcli: "
        "configure tenant_mode=optional_experimental)"},
    Meaning{code::kIllegalTenantAccess, ErrorKind::permission,
            "the cluster does not let this client use that tenant"},
    Meaning{code::kPermissionDenied, ErrorKind::permission,
            "the cluster does not let this client in"},
};

const Meaning* meaning_of(FdbError code) {
  const auto* found = std::find_if(kMeanings.begin(), kMeanings.end(),
                                   [&](const Meaning& one) { return one.code == code; });
  return found == kMeanings.end() ? nullptr : found;
}

bool is_client_error(FdbError code) {
  return code >= code::kClientErrors && code < code::kClientErrorsEnd;
}

const char* next_move(FdbError code, ErrorKind kind) {
  if (const auto* meaning = meaning_of(code)) return meaning->next;
  switch (kind) {
    case ErrorKind::outcome_unknown:
      return "it was applied wholly or not at all; ask the data";
    case ErrorKind::retry:
      return "start the cluster, or look at it (fdbcli: status), and try again";
    case ErrorKind::internal:
      return "this is a bug of Semper's fdb: backend; please report it";
    default:
      return "look at the cluster (fdbcli: status), and open the store again";
  }
}

}  // namespace

bool is_passing(const FdbApi& api, FdbError code) {
  if (code == code::kNotCommitted || code == code::kTransactionTooOld ||
      code == code::kFutureVersion) {
    return false;
  }
  return api.error_predicate(predicate::kRetryableNotCommitted, code) != 0;
}

bool may_be_read_again(const FdbApi& api, FdbError code) {
  return code == code::kFutureVersion || code == code::kClusterVersionChanged ||
         is_passing(api, code);
}

ErrorKind kind_of(FdbError code, Stage stage) {
  if (const auto* meaning = meaning_of(code)) return meaning->kind;
  // The commit that was under way may have come through all the same.
  const bool spoiled = stage == Stage::committing && code == code::kUsedDuringCommit;
  if (is_client_error(code) && !spoiled) return ErrorKind::internal;
  if (stage == Stage::committing) return ErrorKind::outcome_unknown;
  switch (code) {
    case code::kTimedOut:
    case code::kTransactionTimedOut:
    case code::kClusterVersionChanged:
    case code::kCommitUnknownResult:
      return ErrorKind::retry;
    default:
      return ErrorKind::io;
  }
}

Error error_of(const FdbApi& api, FdbError code, Stage stage, std::string_view cluster) {
  const ErrorKind kind = kind_of(code, stage);
  const char* text = api.get_error(code);
  std::string message = "FoundationDB, " + std::string(cluster) + ": " +
                        (text == nullptr ? "unknown error" : text) + " (error " +
                        std::to_string(code) + "); " + next_move(code, kind);
  const auto* meaning = meaning_of(code);
  if (meaning == nullptr || meaning->limit.name == nullptr) return Error(kind, std::move(message));
  return Error(kind, meaning->limit, std::move(message));
}

}  // namespace semper::foundationdb
