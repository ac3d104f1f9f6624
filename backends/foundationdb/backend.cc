#include "backend.h"

#include <utility>

#include "checker.h"
#include "foundationdb.h"
#include "snapshot.h"
#include "tenant.h"

namespace semper::foundationdb {
namespace {

constexpr std::size_t kFdbKeyBytes = 10'000;
constexpr std::size_t kFdbValueBytes = 100'000;
// The place of a versionstamp, behind key or value.
constexpr std::size_t kStampOffsetBytes = 4;
// A tenant's own prefix.
constexpr std::size_t kTenantPrefixBytes = 8;
// FoundationDB counts up to 10,000,000 bytes: each write with about 80 bytes of its own and its key
// three times (once as written, twice as a conflict range), each range that was read with 32 bytes
// more and the prefix twice. 6 MB of values and 10,000 writes with keys of 150 bytes stay below
// that.
constexpr std::size_t kTransactionBytes = 6'000'000;
constexpr std::size_t kTransactionOperations = 10'000;

Status check_tenants(const Client& client) {
  if (client.api_version() >= kApiVersionOfTenants &&
      client.api().database_open_tenant != nullptr) {
    return {};
  }
  return fail(ErrorKind::unsupported,
              "FoundationDB's client runs at API version " + std::to_string(client.api_version()) +
                  ", and tenants need " + std::to_string(kApiVersionOfTenants) +
                  " (7.1); leave ?tenant= out, or install newer clients");
}

}  // namespace

Limits limits_for(const KeySpace& keys) {
  Limits limits;
  limits.key_bytes = kFdbKeyBytes - keys.prefix().size() - kStampOffsetBytes - kTenantPrefixBytes;
  limits.value_bytes = kFdbValueBytes - kStampOffsetBytes;
  limits.transaction_bytes = kTransactionBytes;
  limits.transaction_operations = kTransactionOperations;
  limits.transaction_duration = kSnapshotLife;
  return limits;
}

FoundationDbBackend::FoundationDbBackend(std::shared_ptr<Connection> connection,
                                         const FoundationDbOptions& options)
    : url_(options.url),
      limits_(limits_for(connection->keys())),
      connection_(std::move(connection)),
      committer_(connection_),
      hub_(std::make_shared<WatchHub>(connection_)) {}

Async<std::shared_ptr<Backend>> FoundationDbBackend::open(std::shared_ptr<Client> client,
                                                          FoundationDbOptions options, Env env) {
  if (!options.tenant.empty()) SEMPER_CO_TRY_STATUS(check_tenants(*client));
  SEMPER_CO_TRY(auto database, Database::open(std::move(client), options));
  if (!options.tenant.empty()) {
    SEMPER_CO_TRY_STATUS(co_await ensure_tenant(database, options.tenant));
    SEMPER_CO_TRY_STATUS(database->enter_tenant(options.tenant));
  }
  auto connection = std::make_shared<Connection>(std::move(database), env);
  // Is anybody there? Later, waits are longer: a cluster that was there comes back.
  SEMPER_CO_TRY(auto present, co_await FdbSnapshot::open(connection, kConnectTimeout));
  // A tenant that is not there shows at the first read only.
  if (!options.tenant.empty()) SEMPER_CO_TRY_STATUS(co_await present->get(Bytes(1, '\0')));
  co_return std::shared_ptr<Backend>(new FoundationDbBackend(std::move(connection), options));
}

FoundationDbBackend::~FoundationDbBackend() {
  if (connection_->fork.is_foreign()) {
    // Left as it is: see fork_guard.h.
    static_cast<void>(new std::shared_ptr<Connection>(connection_));
    static_cast<void>(new std::shared_ptr<WatchHub>(hub_));
    return;
  }
  connection_->gate.shut();
  hub_->close();
  stop_at_exit();
}

BackendTraits FoundationDbBackend::traits() const {
  return {.wants_row_counts = false, .resolves_outcomes = false, .versions_are_commits = false};
}

Async<std::unique_ptr<Snapshot>> FoundationDbBackend::snapshot() {
  auto connection = connection_;
  SEMPER_CO_TRY(const auto inside, connection->enter());
  SEMPER_CO_TRY(auto begun, FdbSnapshot::begin(connection));
  co_return std::unique_ptr<Snapshot>(std::move(begun));
}

Async<CommitReceipt> FoundationDbBackend::commit(CommitRequest request) {
  co_return co_await committer_.commit(std::move(request));
}

std::optional<Version> FoundationDbBackend::recent_version() const {
  const auto recent = connection_->recent.at(connection_->env.clock->now());
  if (recent) Statistics::add(connection_->statistics.read_versions_reused, 1);
  return recent;
}

// The version is the whole cluster's, and other programs live in it: raising it is for its
// operator.
Async<void> FoundationDbBackend::raise_version(Version floor) {
  SEMPER_CO_TRY(const auto now, co_await snapshot());
  SEMPER_CO_TRY_STATUS(co_await now->fix_version());
  if (now->version() >= floor) co_return Status{};
  co_return fail(ErrorKind::unsupported,
                 connection_->database->name() + " is at version " +
                     std::to_string(now->version()) + ", below " + std::to_string(floor) +
                     "; raise it by fdbcli --exec \"advanceversion " + std::to_string(floor + 1) +
                     "\", which is allowed at any time, and try again");
}

Async<std::unique_ptr<Watch>> FoundationDbBackend::watch(BytesView key, Snapshot& seen) {
  auto hub = hub_;
  auto connection = connection_;
  SEMPER_CO_TRY_STATUS(connection->fork.check());
  const Bytes watched(key);
  WatchHub::Seen as_seen;
  SEMPER_CO_TRY(const auto value, co_await seen.get(watched));
  as_seen.version = seen.version();
  as_seen.value = ValuePrint::of(value);
  co_return hub->add(watched, as_seen);
}

Async<std::string> FoundationDbBackend::check() {
  auto connection = connection_;
  SEMPER_CO_TRY(const auto inside, connection->enter());
  co_return co_await read_everything(connection);
}

std::vector<std::pair<std::string, std::int64_t>> FoundationDbBackend::statistics() const {
  const auto& from = connection_->statistics;
  return {
      {"commits", from.commits},
      {"conflicts", from.conflicts},
      {"outcomes_unknown", from.outcomes_unknown},
      {"retries", from.retries},
      {"read_versions", from.read_versions},
      {"read_versions_reused", from.read_versions_reused},
      {"gets", from.gets},
      {"ranges", from.ranges},
      {"watches", from.watches},
      {"watches_armed", from.watches_armed},
      {"watch_looks", from.watch_looks},
      {"under_way", static_cast<std::int64_t>(connection_->gate.count())},
  };
}

Async<void> FoundationDbBackend::close() {
  auto connection = connection_;
  auto hub = hub_;
  SEMPER_CO_TRY_STATUS(connection->fork.check());
  connection->gate.shut();
  hub->close();
  co_await connection->gate.close();
  co_return Status{};
}

}  // namespace semper::foundationdb

namespace semper {

Async<std::shared_ptr<Backend>> open_foundationdb(StoreUrl url, Env env) {
  SEMPER_CO_TRY(auto options, foundationdb::parse_options(url));
  // Before the client is started, which happens once in a process.
  SEMPER_CO_TRY_STATUS(foundationdb::check_cluster_file(options.cluster_file));
  const foundationdb::Client::Settings settings{options.library, options.api_version};
  SEMPER_CO_TRY(auto client, foundationdb::process_client(settings));
  auto opened =
      co_await foundationdb::FoundationDbBackend::open(std::move(client), std::move(options), env);
  foundationdb::stop_at_exit();
  if (!opened) co_return fail(opened.error().in(url.to_string()));
  co_return std::move(*opened);
}

}  // namespace semper
