// Committer: a commit request as one of FoundationDB's transactions.
//
// The request says everything: the version that its reads were made at, the ranges read, the ranges
// to count as written, the writes in order. Read-your-writes is switched off, so that the writes go
// out in just that order, and so that a versionstamped key conflicts with readers of the one key
// that it becomes (which the cluster's proxies know), not with readers of all that it could have
// become.
//
// What fails, and what then holds:
//   conflict, a version too old   nothing was applied; the caller runs the transaction again
//   overload, a lagging cluster   nothing was applied; tried again here, as on_error says, at most
//                                 kCommitAttempts times
//   no answer, a lost connection  outcome_unknown: Transaction's marker finds out
//   if it never returns           applied wholly or not at all
//
// Every commit of a batch of the cluster has the same version and a number within it, so a version
// is not one commit's own: a transaction that begins at the version of a commit can miss the later
// commits of the batch without a conflict. Hence BackendTraits::versions_are_commits is false here.
//
// Threads: any.
#pragma once

#include <memory>

#include "connection.h"

namespace semper::foundationdb {

inline constexpr int kCommitAttempts = 10;

class Committer {
 public:
  explicit Committer(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  // See Backend::commit.
  Async<CommitReceipt> commit(CommitRequest request);

 private:
  // The receipt, or FoundationDB's code.
  struct Attempt {
    FdbError code = 0;
    CommitReceipt receipt;
  };

  Async<Attempt> attempt(RawTransaction& transaction);
  Error failed(FdbError code);

  std::shared_ptr<Connection> connection_;
};

}  // namespace semper::foundationdb
