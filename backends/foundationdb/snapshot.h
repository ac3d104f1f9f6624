// FdbSnapshot: one of FoundationDB's transactions that only reads, at one version.
//
// The version is asked for when the snapshot is begun, and its answer is not waited for: the first
// read is handed in at once, and the client library sends it as soon as it has the version. Every
// read is at that version, and records no conflict: what must still hold at commit, Transaction
// writes down. A read that the cluster puts off (its storage servers lag behind, it changes its
// version) is made again at the same version, a few times, with growing waits.
//
// Threads: one coroutine at a time.
#pragma once

#include <memory>
#include <optional>

#include "connection.h"
#include "semper/env/backoff.h"

namespace semper::foundationdb {

// From the answer with the version to the last read, and to the commit. Also FoundationDB's own
// limit.
inline constexpr Duration kSnapshotLife = std::chrono::seconds(5);
// Times that the cluster is asked for one thing, with waits between that add up to about a second.
inline constexpr int kReadAttempts = 8;
inline constexpr BackoffOptions kReadBackoff = {.initial = std::chrono::milliseconds(2),
                                                .maximum = std::chrono::milliseconds(250)};
// Soft limit of the keys and values in one page.
inline constexpr int kPageBytes = 1 << 20;

class FdbSnapshot final : public Snapshot {
 public:
  // Asks for the version. Error: io (the client library is broken).
  static Result<std::unique_ptr<FdbSnapshot>> begin(
      std::shared_ptr<Connection> connection, std::chrono::milliseconds timeout = kReadTimeout);
  // begin() and fix_version().
  static Async<std::unique_ptr<FdbSnapshot>> open(std::shared_ptr<Connection> connection,
                                                  std::chrono::milliseconds timeout = kReadTimeout);

  // 0 until it is known.
  Version version() const override { return version_; }
  // Errors: retry (the cluster does not answer, or is overloaded), io.
  Async<void> fix_version() override;
  Async<std::optional<Bytes>> get(BytesView key) override;
  Async<RangePage> get_range(const PageRequest& request) override;

 private:
  FdbSnapshot(std::shared_ptr<Connection> connection, std::shared_ptr<RawTransaction> transaction,
              std::chrono::milliseconds timeout);

  void ask_for_version();
  void know_version(Version version);
  Status check_age() const;
  Async<void> put_off(FdbError code, int attempt, Backoff& backoff);
  Result<std::shared_ptr<RawTransaction>> begin_again() const;
  Async<RangePage> read_page(const KeyRange& range, const PageRequest& request, int bytes);

  std::shared_ptr<Connection> connection_;
  std::shared_ptr<RawTransaction> transaction_;
  const std::chrono::milliseconds timeout_;
  std::optional<Future> asked_;  // until the version is known
  MonotonicTime asked_at_{};
  Version version_ = 0;
  MonotonicTime expires_ = kNever;
};

}  // namespace semper::foundationdb
