// What each of FoundationDB's codes makes the caller do.
#include "errors.h"

#include <gtest/gtest.h>

#include "fake_fdb_test_support.h"

namespace semper::foundationdb {
namespace {

struct Row {
  FdbError code;
  ErrorKind reading;
  ErrorKind committing;
};

constexpr Row kRows[] = {
    {code::kNotCommitted, ErrorKind::conflict, ErrorKind::conflict},
    {code::kTransactionTooOld, ErrorKind::conflict, ErrorKind::conflict},
    {code::kFutureVersion, ErrorKind::conflict, ErrorKind::conflict},
    {code::kCommitUnknownResult, ErrorKind::retry, ErrorKind::outcome_unknown},
    {code::kClusterVersionChanged, ErrorKind::retry, ErrorKind::outcome_unknown},
    {code::kTransactionTimedOut, ErrorKind::retry, ErrorKind::outcome_unknown},
    {code::kTimedOut, ErrorKind::retry, ErrorKind::outcome_unknown},
    {code::kTransactionCancelled, ErrorKind::io, ErrorKind::outcome_unknown},
    {code::kOperationCancelled, ErrorKind::io, ErrorKind::outcome_unknown},
    {code::kProcessBehind, ErrorKind::retry, ErrorKind::retry},
    {code::kDatabaseLocked, ErrorKind::retry, ErrorKind::retry},
    {code::kCommitProxyMemoryLimit, ErrorKind::retry, ErrorKind::retry},
    {code::kGrvProxyMemoryLimit, ErrorKind::retry, ErrorKind::retry},
    {code::kBatchThrottled, ErrorKind::retry, ErrorKind::retry},
    {code::kTagThrottled, ErrorKind::retry, ErrorKind::retry},
    {code::kProxyTagThrottled, ErrorKind::retry, ErrorKind::retry},
    {code::kStorageQuotaExceeded, ErrorKind::exhausted, ErrorKind::exhausted},
    {code::kTransactionTooLarge, ErrorKind::exhausted, ErrorKind::exhausted},
    {code::kKeyTooLarge, ErrorKind::exhausted, ErrorKind::exhausted},
    {code::kValueTooLarge, ErrorKind::exhausted, ErrorKind::exhausted},
    {code::kUsedDuringCommit, ErrorKind::internal, ErrorKind::outcome_unknown},
    {code::kClientInvalidOperation, ErrorKind::internal, ErrorKind::internal},
    {code::kTenantNotFound, ErrorKind::not_found, ErrorKind::not_found},
    {code::kTenantsDisabled, ErrorKind::unsupported, ErrorKind::unsupported},
    {code::kTenantNameRequired, ErrorKind::invalid_argument, ErrorKind::invalid_argument},
    {code::kPermissionDenied, ErrorKind::permission, ErrorKind::permission},
    {code::kIncompatibleProtocol, ErrorKind::unsupported, ErrorKind::unsupported},
    {4100, ErrorKind::io, ErrorKind::outcome_unknown},  // internal_error
    {1999, ErrorKind::io, ErrorKind::outcome_unknown},  // of a version to come
};

TEST(FoundationDbErrors, each_code_has_its_kind) {
  for (const auto& row : kRows) {
    EXPECT_EQ(kind_of(row.code, Stage::reading), row.reading) << row.code;
    EXPECT_EQ(kind_of(row.code, Stage::committing), row.committing) << row.code;
  }
}

TEST(FoundationDbErrors, only_what_passes_by_itself_is_tried_again_inside) {
  const FdbApi api = FakeFdb::api();
  for (const auto code : {code::kProcessBehind, code::kDatabaseLocked, code::kTagThrottled,
                          code::kCommitProxyMemoryLimit}) {
    EXPECT_TRUE(is_passing(api, code)) << code;
  }
  for (const auto code :
       {code::kNotCommitted, code::kTransactionTooOld, code::kFutureVersion,
        code::kCommitUnknownResult, code::kTransactionTimedOut, code::kTransactionTooLarge}) {
    EXPECT_FALSE(is_passing(api, code)) << code;
  }
}

TEST(FoundationDbErrors, a_message_has_the_cluster_the_code_and_the_next_move) {
  const auto error = error_of(FakeFdb::api(), code::kDatabaseLocked, Stage::committing,
                              "cluster file X (coordinators Y)");
  for (const char* part :
       {"cluster file X (coordinators Y)", "1038", "FoundationDB's own words", "unlock"}) {
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace semper::foundationdb
