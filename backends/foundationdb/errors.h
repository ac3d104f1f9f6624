// What FoundationDB's error codes mean for the caller: the kind is the next move.
//
// The codes that mean something here are named; every other one is passed on with FoundationDB's
// own sentence. What decides is where the error came up:
//
//   opening     nothing can have been written; retry means the cluster could not be asked
//   reading     the same
//   committing  a code that is not known to mean "nothing was applied" counts as outcome_unknown,
//               which Transaction finds out by its marker: so a code of a future version can cost
//               time, never a commit that is applied twice
#pragma once

#include "fdb_c_api.h"
#include "semper/base/result.h"

namespace semper::foundationdb {

namespace code {
inline constexpr FdbError kTimedOut = 1004;
inline constexpr FdbError kTransactionTooOld = 1007;
inline constexpr FdbError kFutureVersion = 1009;
inline constexpr FdbError kNotCommitted = 1020;
inline constexpr FdbError kCommitUnknownResult = 1021;
inline constexpr FdbError kTransactionCancelled = 1025;
inline constexpr FdbError kWatchCancelled = 1029;
inline constexpr FdbError kTransactionTimedOut = 1031;
inline constexpr FdbError kTooManyWatches = 1032;
inline constexpr FdbError kProcessBehind = 1037;
inline constexpr FdbError kDatabaseLocked = 1038;
inline constexpr FdbError kClusterVersionChanged = 1039;
inline constexpr FdbError kCommitProxyMemoryLimit = 1042;
inline constexpr FdbError kBatchThrottled = 1051;
inline constexpr FdbError kGrvProxyMemoryLimit = 1078;
inline constexpr FdbError kOperationCancelled = 1101;
inline constexpr FdbError kTagThrottled = 1213;
inline constexpr FdbError kProxyTagThrottled = 1223;
inline constexpr FdbError kStorageQuotaExceeded = 1225;
inline constexpr FdbError kNoClusterFile = 1515;
inline constexpr FdbError kClientInvalidOperation = 2000;
inline constexpr FdbError kUsedDuringCommit = 2017;
inline constexpr FdbError kIncompatibleProtocol = 2100;
inline constexpr FdbError kTransactionTooLarge = 2101;
inline constexpr FdbError kKeyTooLarge = 2102;
inline constexpr FdbError kValueTooLarge = 2103;
inline constexpr FdbError kConnectionStringInvalid = 2104;
inline constexpr FdbError kTlsError = 2107;
inline constexpr FdbError kSpecialKeysNoModule = 2113;
inline constexpr FdbError kSpecialKeysNoWriteModule = 2115;
inline constexpr FdbError kSpecialKeysFailure = 2117;
inline constexpr FdbError kTenantNameRequired = 2130;
inline constexpr FdbError kTenantNotFound = 2131;
inline constexpr FdbError kTenantAlreadyExists = 2132;
inline constexpr FdbError kTenantsDisabled = 2136;
inline constexpr FdbError kIllegalTenantAccess = 2138;
inline constexpr FdbError kApiVersionAlreadySet = 2201;
inline constexpr FdbError kClientErrors =
    2000;  // from here to below the next: refused by the client
inline constexpr FdbError kClientErrorsEnd = 3000;
inline constexpr FdbError kPermissionDenied = 6000;
}  // namespace code

enum class Stage : std::uint8_t { opening, reading, committing };

// True where FoundationDB wants the transaction to be run again and nothing of it was applied, and
// the cause is not in the transaction itself: the backend waits as on_error says, and tries again.
// (A conflict and a version that is too old are the transaction's own; its caller runs it again.)
bool is_passing(const FdbApi& api, FdbError code);

// The same for a read or the question for a version, which may always be put again.
bool may_be_read_again(const FdbApi& api, FdbError code);

ErrorKind kind_of(FdbError code, Stage stage);

// `cluster`: as describe_cluster() says it.
Error error_of(const FdbApi& api, FdbError code, Stage stage, std::string_view cluster);

}  // namespace semper::foundationdb
