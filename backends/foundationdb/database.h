// Database: a connection to a cluster, and the transactions on it.
//
// FoundationDB connects by itself and for ever: a Database can be made while the cluster is down,
// and survives its restarts. What waits for an answer is bounded by the transactions' timeouts.
//
// Threads: any; a RawTransaction one at a time.
#pragma once

#include <memory>
#include <string>

#include "errors.h"
#include "future.h"
#include "key_space.h"
#include "options.h"

namespace semper::foundationdb {

// FoundationDB's own limit on the watches of one connection, which it also has by default.
inline constexpr std::int64_t kConnectionWatches = 10'000;
// From the begin of a reading transaction to its last answer. A recovery of the cluster takes a few
// seconds; who waits through it sees a delay, not an error.
inline constexpr std::chrono::milliseconds kReadTimeout{15'000};
// From handing in a commit to its answer. Past it the outcome is unknown, and found out by reading.
inline constexpr std::chrono::milliseconds kCommitTimeout{15'000};
// For the first answer of a cluster when a store is opened.
inline constexpr std::chrono::milliseconds kConnectTimeout{5'000};

class Database;

// One of FoundationDB's transactions. Keys are the cluster's (key_space.h).
class RawTransaction : public std::enable_shared_from_this<RawTransaction> {
 public:
  RawTransaction(std::shared_ptr<const Database> database, FdbTransaction* raw)
      : database_(std::move(database)), raw_(raw) {}
  ~RawTransaction();
  RawTransaction(const RawTransaction&) = delete;
  RawTransaction& operator=(const RawTransaction&) = delete;

  // Writes go out in the order of the calls, and reads do not look for them.
  void disable_read_your_writes();
  void set_timeout(std::chrono::milliseconds span);
  void enable_special_key_writes();
  void set_read_version(Version version);

  void set(BytesView key, BytesView value);
  void clear(BytesView key);
  void clear_range(BytesView begin, BytesView end);
  void atomic(BytesView key, BytesView operand, int mutation_type);
  // FoundationDB's code: 0, or why the range was refused.
  FdbError add_conflict_range(const KeyRange& range, int conflict_range_type);

  Future get_read_version();
  // Reads record no conflicts: those are in CommitRequest::reads.
  Future get(BytesView key);
  Future get_range(const KeyRange& range, int rows, int bytes, Order order);
  Future watch(BytesView key);
  Future get_versionstamp();
  Future commit();
  Future on_error(FdbError code);

 private:
  const FdbApi& api() const;
  void set_option(int option, const std::int64_t* number);
  Future future(FdbFuture* raw);

  std::shared_ptr<const Database> database_;
  FdbTransaction* raw_;
};

class Database : public std::enable_shared_from_this<Database> {
 public:
  // Neither waits nor asks the cluster. Errors: those of check_cluster_file(), and the client
  // library's own.
  static Result<std::shared_ptr<Database>> open(std::shared_ptr<Client> client,
                                                const FoundationDbOptions& options);
  // Transactions are in this tenant from now on. Before others know the database. Precondition: the
  // client knows tenants (kApiVersionOfTenants).
  Status enter_tenant(const std::string& tenant);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // In the tenant that was entered, if any. Error: io (the client library is broken).
  Result<std::shared_ptr<RawTransaction>> begin() const;

  const std::shared_ptr<Client>& client() const { return client_; }
  const FdbApi& api() const { return client_->api(); }
  // For messages: cluster file and coordinators.
  const std::string& name() const { return name_; }
  const KeySpace& keys() const { return keys_; }

  Error error(FdbError code, Stage stage) const { return error_of(api(), code, stage, name_); }

 private:
  Database(std::shared_ptr<Client> client, const FoundationDbOptions& options);
  Status connect(const FoundationDbOptions& options);

  std::shared_ptr<Client> client_;
  std::string name_;
  KeySpace keys_;
  FdbDatabase* raw_ = nullptr;
  FdbTenant* tenant_ = nullptr;
};

}  // namespace semper::foundationdb
