// The contract of a store's backend, run on a real etcd: one node, and three.
#include <gtest/gtest.h>
#include <unistd.h>

#include <iostream>

#include "backends/etcd/etcd.h"
#include "backends/etcd/etcd_server_test_support.h"
#include "semper/testing/store_conformance.h"

namespace semper {
namespace {

using etcd::testing::EtcdServers;

Async<std::shared_ptr<Backend>> open(std::string url, Env env) {
  SEMPER_CO_TRY(auto parsed, StoreUrl::parse(url));
  co_return co_await open_etcd(std::move(parsed), env);
}

// A prefix for each place: the folder's name is nobody else's.
std::function<std::string(const testing::ConformancePlace&)> url_on(int nodes) {
  return [nodes](const testing::ConformancePlace& place) {
    return "etcd:" + EtcdServers::shared_endpoints(nodes) +
           "?prefix=" + place.folder.substr(place.folder.rfind('/') + 1) + "/";
  };
}

std::size_t register_cases() {
  if (!etcd::testing::etcd_program()) return 0;
  testing::StoreUnderTest store;
  store.open = open;
  store.processes = testing::Processes::several;
  store.lifetime = testing::Lifetime::persistent;
  store.name = "etcd";
  store.url = url_on(1);
  std::size_t count = testing::register_store_conformance(store);
  store.name = "etcd3";
  store.url = url_on(3);
  count += testing::register_store_conformance(store);
  return count;
}

const std::size_t cases = register_cases();

TEST(EtcdConformance, runs_where_etcd_is_installed) {
  if (cases == 0) GTEST_SKIP() << "the conformance suite was left out: " << etcd::testing::kNoEtcd;
}

}  // namespace
}  // namespace semper
