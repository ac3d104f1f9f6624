// What lies between us and a cluster: etcd's own proxies of both sorts, and the environment.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <thread>

#include "backends/etcd/backend.h"
#include "backends/etcd/etcd.h"
#include "backends/etcd/etcd_server_test_support.h"
#include "semper/store/store.h"
#include "semper/testing/simulated_clock.h"
#include "tests/rpc/processes.h"

namespace semper::etcd {
namespace {

using namespace std::chrono_literals;
using testing::EtcdMiddleman;
using testing::EtcdServerOptions;
using testing::EtcdServers;
using Kind = EtcdMiddleman::Kind;

class EtcdBetween : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!testing::etcd_program()) GTEST_SKIP() << testing::kNoEtcd;
  }

  Result<Store> open(const std::string& endpoints, const std::string& more = "", Env env = Env()) {
    auto opened = [](std::string text, Env in) -> Async<Store> {
      SEMPER_CO_TRY(auto parsed, StoreUrl::parse(text));
      SEMPER_CO_TRY(auto backend, co_await open_etcd(std::move(parsed), in));
      co_return Store(std::move(backend), in);
    };
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    const std::string prefix =
        std::string(test->name()).substr(0, 30) + (GetParam() == Kind::gateway ? ".g" : ".p");
    return scheduler.block_on(opened("etcd:" + endpoints + "?prefix=" + prefix + more, env));
  }

  Status put(const Store& store, Bytes key, Bytes value) {
    return scheduler.block_on(store.transact([&](Transaction& tx) -> Async<void> {
      tx.set(key, value);
      co_return Status{};
    }));
  }
  std::unique_ptr<Watch> watch(const Store& store, const std::string& key) {
    auto transaction = store.begin();
    auto made = scheduler.block_on(transaction.watch(key));
    if (!made) throw std::runtime_error(made.error().to_string());
    return std::move(*made);
  }
  void close(const Store& store) { EXPECT_TRUE(scheduler.block_on(store.close())); }

  static std::int64_t statistic(const Store& store, const std::string& name) {
    for (const auto& [key, value] : store.backend().statistics()) {
      if (key == name) return value;
    }
    return -1;
  }

  // Time stands still: what only a slow read would find never comes.
  void must_be_told(Watch& on) {
    auto told = std::make_shared<std::promise<bool>>();
    auto future = told->get_future();
    auto waiting = [](Watch& one, std::shared_ptr<std::promise<bool>> done) -> Task<void> {
      done->set_value((co_await one.changed()).has_value());
    };
    asio::co_spawn(scheduler.executor(), waiting(on, told), asio::detached);
    ASSERT_EQ(future.wait_for(60s), std::future_status::ready) << "it does not come";
    EXPECT_TRUE(future.get());
  }

  // Moves time by hand, no faster than the servers and threads beside it can follow.
  void must_fire(semper::testing::SimulatedClock& clock, Watch& on) {
    auto fired = std::make_shared<std::atomic<bool>>(false);
    auto waiting = [](Watch& one, std::shared_ptr<std::atomic<bool>> done) -> Task<void> {
      EXPECT_TRUE(co_await one.changed());
      *done = true;
    };
    asio::co_spawn(scheduler.executor(), waiting(on, fired), asio::detached);
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (!*fired) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "it does not come";
      clock.advance(2ms);
      std::this_thread::sleep_for(1ms);
    }
  }

  Scheduler scheduler{SchedulerOptions{.threads = 2}};
};

INSTANTIATE_TEST_SUITE_P(middlemen, EtcdBetween, ::testing::Values(Kind::grpc_proxy, Kind::gateway),
                         [](const auto& of) {
                           return of.param == Kind::gateway ? "gateway" : "grpc_proxy";
                         });

// Time does not move, so that no slow read finds what the events should tell.
TEST_P(EtcdBetween, watches_are_told_by_events_and_by_the_right_ones) {
  const EtcdMiddleman between(GetParam(), EtcdServers::shared(1).endpoints());
  semper::testing::SimulatedClock clock;
  const auto store = open(between.endpoint(), "", Env{&clock, &system_random()});
  const auto direct = open(EtcdServers::shared(1).endpoints());
  ASSERT_TRUE(store && direct);
  std::vector<std::unique_ptr<Watch>> all;
  for (int i = 0; i < 20; ++i) all.push_back(watch(*store, "key" + std::to_string(i)));
  for (int i = 0; i < 20; i += 2) all[static_cast<std::size_t>(i)].reset();
  for (int i = 19; i > 0; i -= 2) {
    EXPECT_TRUE(put(*direct, "key" + std::to_string(i), "1"));
    must_be_told(*all[static_cast<std::size_t>(i)]);
  }
  EXPECT_EQ(statistic(*store, "watch_rescues"), 0);
  EXPECT_EQ(statistic(*store, "watch_polls"), 0);
  EXPECT_EQ(statistic(*store, "watch_streams"), 1);
  all.clear();
  close(*store);
  close(*direct);
}

TEST_P(EtcdBetween, watches_go_on_when_it_was_killed_and_is_back) {
  EtcdMiddleman between(GetParam(), EtcdServers::shared(1).endpoints());
  semper::testing::SimulatedClock clock;
  const auto store = open(between.endpoint(), "", Env{&clock, &system_random()});
  const auto direct = open(EtcdServers::shared(1).endpoints());
  ASSERT_TRUE(store && direct);
  std::vector<std::unique_ptr<Watch>> all;
  for (int i = 0; i < 10; ++i) all.push_back(watch(*store, "key" + std::to_string(i)));
  EXPECT_TRUE(put(*direct, "key9", "1"));
  must_fire(clock, *all[9]);
  between.stop();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(put(*direct, "key" + std::to_string(i), "1"));
  between.start();
  for (int i = 0; i < 5; ++i) must_fire(clock, *all[static_cast<std::size_t>(i)]);
  for (int i = 5; i < 9; ++i) {
    EXPECT_TRUE(put(*direct, "key" + std::to_string(i), "1"));
    must_fire(clock, *all[static_cast<std::size_t>(i)]);
  }
  EXPECT_GE(statistic(*store, "watch_streams"), 2);
  all.clear();
  close(*store);
  close(*direct);
}

// One address for three members, any of which may answer, one of which dies.
TEST_P(EtcdBetween, commits_and_reads_go_on_when_the_member_behind_it_dies) {
  EtcdServerOptions options;
  options.nodes = 3;
  EtcdServers cluster(options);
  const EtcdMiddleman between(GetParam(), cluster.endpoints());
  const auto store = open(between.endpoint());
  ASSERT_TRUE(store) << store.error().to_string();
  const auto count_up = [&] {
    return scheduler.block_on(store->transact([](Transaction& tx) -> Async<void> {
      SEMPER_CO_TRY(const auto seen, co_await tx.get("count"));
      tx.set("count", std::to_string(seen ? std::stoll(*seen) + 1 : 1));
      tx.add("sum", 1);
      co_return Status{};
    }));
  };
  int done = 0;
  for (int node = 0; node < 3; ++node) {
    cluster.stop(node);
    for (int i = 0; i < 10; ++i) {
      const auto counted = count_up();
      EXPECT_TRUE(counted) << counted.error().to_string();
      done += counted ? 1 : 0;
    }
    cluster.start(node);
  }
  EXPECT_EQ(done, 30);
  const auto checked = scheduler.block_on(store->backend().check());
  EXPECT_TRUE(checked) << checked.error().to_string();
  close(*store);
}

class EtcdBalancer : public EtcdBetween {};
INSTANTIATE_TEST_SUITE_P(balancer, EtcdBalancer, ::testing::Values(Kind::gateway));

// A balancer that has lost a connection and does not say so: bytes are taken, nothing comes back.
TEST_P(EtcdBalancer, a_connection_that_leads_nowhere_any_more_costs_one_request) {
  const auto endpoint = EtcdServers::shared(1).endpoint(0);
  rpc_faults::Proxy balancer(std::stoi(endpoint.substr(endpoint.find(':') + 1)));
  const auto store = open("127.0.0.1:" + std::to_string(balancer.port()));
  ASSERT_TRUE(store) << store.error().to_string();
  const auto kept = watch(*store, "key");
  EXPECT_TRUE(put(*store, "other", "1"));
  balancer.forget();
  const auto read = scheduler.block_on(store->transact(
      [](Transaction& tx) -> Async<std::optional<Bytes>> { co_return co_await tx.get("other"); }));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, "1");
  const auto direct = open(EtcdServers::shared(1).endpoints());
  ASSERT_TRUE(direct);
  EXPECT_TRUE(put(*direct, "key", "1"));
  EXPECT_TRUE(scheduler.block_on(kept->changed(system_clock().after(30s))));
  close(*store);
  close(*direct);
}

// The environment of this test's own process.
TEST_P(EtcdBetween, a_proxy_of_the_environment_is_on_the_way_only_where_the_url_says_so) {
  const auto endpoints = EtcdServers::shared(1).endpoints();
  ::setenv("https_proxy", "http://127.0.0.1:1", 1);
  const auto here = open(endpoints);
  const auto here_too = open(endpoints, "&http_proxy=on");
  const auto there = open("nobody.invalid:2379", "&http_proxy=on");
  ::unsetenv("https_proxy");
  EXPECT_TRUE(here) << here.error().to_string();
  EXPECT_TRUE(here_too) << "this machine is reached directly: " << here_too.error().to_string();
  ASSERT_FALSE(there);
  EXPECT_NE(there.error().message().find("https_proxy"), std::string::npos)
      << there.error().message();
}

}  // namespace
}  // namespace semper::etcd
