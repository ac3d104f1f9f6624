// The contract of a store's backend, run on a fake FoundationDB always, and on a real one where a
// cluster is named:
//
//   SEMPER_TEST_FDB_CLUSTER_FILE=/etc/foundationdb/fdb.cluster foundationdb_test
//
// with SEMPER_FDB_LIBRARY naming the client library where the loader does not find it, and
// SEMPER_TEST_FDB_PARAMETERS more parameters of the URL, such as tenant=test&api=710. Each case has
// a store of its own in the cluster, by its prefix; what they leave behind is removed at the end.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "backends/foundationdb/foundationdb.h"
#include "fdb_world_test_support.h"
#include "semper/testing/store_conformance.h"

namespace semper::foundationdb {
namespace {

constexpr const char* kClusterVariable = "SEMPER_TEST_FDB_CLUSTER_FILE";

// Of the stores of this process alone: other test programs may be running.
std::string prefix_of_process() {
  return "semper-test-" + std::to_string(::getpid()) + "-";
}

const char* cluster_file() {
  return std::getenv(kClusterVariable);
}

// fdb:FILE?prefix=PREFIX with what the tester adds.
std::string real_url(const std::string& prefix) {
  const char* more = std::getenv("SEMPER_TEST_FDB_PARAMETERS");
  return "fdb:" + std::string(cluster_file()) + "?prefix=" + prefix +
         (more == nullptr ? "" : "&" + std::string(more));
}

// One fake cluster for all cases, until the process ends: cases are told apart by their prefix.
std::shared_ptr<Client> fake_client() {
  static auto& fake = *new FakeFdb();
  static const auto client = [] {
    static_cast<void>(fake);
    auto started = Client::start(FakeFdb::api(), {});
    if (!started) throw std::runtime_error(started.error().to_string());
    return *started;
  }();
  return client;
}

Result<FoundationDbOptions> options_of(const std::string& url) {
  SEMPER_TRY(const auto parsed, StoreUrl::parse(url));
  return parse_options(parsed);
}

Async<std::shared_ptr<Backend>> open_fake(std::string url, Env env) {
  SEMPER_CO_TRY(auto options, options_of(url));
  co_return co_await FoundationDbBackend::open(fake_client(), std::move(options), env);
}

Async<std::shared_ptr<Backend>> open_real(std::string url, Env env) {
  SEMPER_CO_TRY(auto parsed, StoreUrl::parse(url));
  co_return co_await open_foundationdb(std::move(parsed), env);
}

std::string name_of(const testing::ConformancePlace& place) {
  return prefix_of_process() + std::filesystem::path(place.folder).filename().string();
}

// The fake does not read it, but it has to be one.
std::string any_cluster_file(const testing::ConformancePlace& place) {
  const std::string path = place.folder + "/fdb.cluster";
  std::ofstream(path) << "test:id@127.0.0.1:4500\n";
  return path;
}

const std::size_t on_fake = testing::register_store_conformance({
    .name = "fdb_fake",
    .url =
        [](const testing::ConformancePlace& place) {
          return "fdb:" + any_cluster_file(place) + "?prefix=" + name_of(place);
        },
    .open = open_fake,
    .lifetime = testing::Lifetime::persistent,
});

// Removes what all cases left behind in the cluster.
class Sweeper final : public ::testing::Environment {
 public:
  void TearDown() override {
    const auto swept = wait_for(sweep());
    if (!swept) ADD_FAILURE() << swept.error().to_string();
  }

 private:
  static Async<void> sweep() {
    SEMPER_CO_TRY(const auto options, options_of(real_url("any")));
    SEMPER_CO_TRY(auto client, process_client({options.library, options.api_version}));
    SEMPER_CO_TRY(auto database, Database::open(std::move(client), options));
    if (!options.tenant.empty()) SEMPER_CO_TRY_STATUS(database->enter_tenant(options.tenant));
    SEMPER_CO_TRY(auto transaction, database->begin());
    const std::string from = "\x02" + prefix_of_process();
    transaction->clear_range(from, from + "\xff");
    Future done = transaction->commit();
    SEMPER_CO_TRY(const FdbError code, co_await done.ready());
    if (code != 0) co_return fail(database->error(code, Stage::committing));
    co_return Status{};
  }
};

std::size_t register_real() {
  if (cluster_file() == nullptr) return 0;
  const auto cases = testing::register_store_conformance({
      .name = "fdb",
      .url = [](const testing::ConformancePlace& place) { return real_url(name_of(place)); },
      .open = open_real,
      .processes = testing::Processes::several,
      .lifetime = testing::Lifetime::persistent,
  });
  ::testing::AddGlobalTestEnvironment(new Sweeper());
  return cases;
}

const std::size_t on_real = register_real();

TEST(FoundationDbCluster, the_conformance_suite_runs_on_a_real_one) {
  if (cluster_file() == nullptr) {
    GTEST_SKIP() << "no FoundationDB is named by " << kClusterVariable
                 << "; only the fake one was tested";
  }
  EXPECT_GT(on_real, on_fake);
}

}  // namespace
}  // namespace semper::foundationdb
