// FoundationDbBackend: the parts of an open fdb: store, put together.
//
//   snapshot()  ->  FdbSnapshot  a read version, and reads at it
//   commit()    ->  Committer    a transaction that is filled and committed at once
//   watch()     ->  WatchHub     FoundationDB's watches, shared by key
//   all of them     Connection   cluster, gate, newest version; Client: the library and its thread
//
// Threads: any. Destroying it without close() ends the watches; operations under way finish, or are
// cancelled with the coroutines that wait for them.
#pragma once

#include <memory>

#include "committer.h"
#include "connection.h"
#include "watch_hub.h"

namespace semper::foundationdb {

class FoundationDbBackend final : public Backend {
 public:
  // Errors: those of open_foundationdb, from the connection on.
  static Async<std::shared_ptr<Backend>> open(std::shared_ptr<Client> client,
                                              FoundationDbOptions options, Env env);

  ~FoundationDbBackend() override;

  const Limits& limits() const override { return limits_; }
  BackendTraits traits() const override;
  std::string url() const override { return url_; }
  Async<std::unique_ptr<Snapshot>> snapshot() override;
  std::optional<Version> recent_version() const override;
  Async<CommitReceipt> commit(CommitRequest request) override;
  Async<void> raise_version(Version floor) override;
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override;
  Async<std::string> check() override;
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override;
  Async<void> close() override;

 private:
  FoundationDbBackend(std::shared_ptr<Connection> connection, const FoundationDbOptions& options);

  const std::string url_;
  const Limits limits_;
  std::shared_ptr<Connection> connection_;
  Committer committer_;
  std::shared_ptr<WatchHub> hub_;
};

// What fits into FoundationDB's own limits with everything that it counts besides.
Limits limits_for(const KeySpace& keys);

}  // namespace semper::foundationdb
