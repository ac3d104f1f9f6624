// The backend on real servers that fail, are full, compact, and ask who is there.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "backends/etcd/backend.h"
#include "backends/etcd/etcd.h"
#include "backends/etcd/etcd_server_test_support.h"
#include "rpc/tls_test_support.h"
#include "semper/store/store.h"
#include "semper/testing/simulated_clock.h"

namespace semper::etcd {
namespace {

using namespace std::chrono_literals;
using testing::EtcdServerOptions;
using testing::EtcdServers;

class EtcdServer : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::etcd_program()) GTEST_SKIP() << testing::kNoEtcd;
  }

  Result<Store> open(const std::string& url, Env env = Env()) {
    auto opened = [](std::string text, Env in) -> Async<Store> {
      SEMPER_CO_TRY(auto parsed, StoreUrl::parse(text));
      SEMPER_CO_TRY(auto backend, co_await open_etcd(std::move(parsed), in));
      co_return Store(std::move(backend), in);
    };
    return scheduler.block_on(opened(url, env));
  }

  // On the cluster of one node that these tests share, with a prefix of the test's own.
  static std::string prefix() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    return std::string(test->name()).substr(0, 40) + "/";
  }
  static Layout layout() { return Layout(prefix()); }
  static std::string url() {
    return "etcd:" + EtcdServers::shared(1).endpoints() + "?prefix=" + prefix();
  }

  Status put(const Store& store, Bytes key, Bytes value) {
    return scheduler.block_on(store.transact([&](Transaction& tx) -> Async<void> {
      tx.set(key, value);
      co_return Status{};
    }));
  }

  Result<std::optional<Bytes>> get(const Store& store, Bytes key) {
    return scheduler.block_on(store.transact(
        [&](Transaction& tx) -> Async<std::optional<Bytes>> { co_return co_await tx.get(key); }));
  }

  void close(const Store& store) { EXPECT_TRUE(scheduler.block_on(store.close())); }

  // One request past the backend; its answer's bytes.
  Result<Bytes> ask(const std::string& endpoint, const char* method, Bytes request) {
    auto asking = [](std::string address, std::string of, Bytes bytes) -> Async<Bytes> {
      rpc::ChannelOptions options;
      options.address = address;
      SEMPER_CO_TRY(auto channel, co_await rpc::connect(options));
      co_return co_await rpc::call(channel, of, std::move(bytes));
    };
    return scheduler.block_on(asking(endpoint, method, std::move(request)));
  }

  pb::RangeResponse range(const Bytes& key, const std::string& endpoint = "") {
    pb::RangeRequest request;
    request.set_key(key);
    const auto answer = ask(endpoint.empty() ? EtcdServers::shared(1).endpoint(0) : endpoint,
                            kRangeMethod, request.SerializeAsString());
    pb::RangeResponse response;
    EXPECT_TRUE(answer && response.ParseFromString(*answer));
    return response;
  }

  // Compacts everything up to the newest revision.
  void compact(const std::string& endpoint) {
    pb::CompactionRequest compaction;
    compaction.set_revision(range("x", endpoint).header().revision());
    compaction.set_physical(true);
    ASSERT_TRUE(ask(endpoint, kCompactMethod, compaction.SerializeAsString()));
  }

  static std::int64_t statistic(const Store& store, const std::string& name) {
    for (const auto& [key, value] : store.backend().statistics()) {
      if (key == name) return value;
    }
    return -1;
  }

  // Moves time by hand, no faster than the servers and threads beside it can follow.
  template <class Condition>
  static void advance_until(semper::testing::SimulatedClock& clock, Condition done) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "it does not come";
      clock.advance(5ms);
      std::this_thread::sleep_for(1ms);
    }
  }

  void must_fire(semper::testing::SimulatedClock& clock, Watch& watch) {
    auto fired = std::make_shared<std::atomic<bool>>(false);
    auto waiting = [](Watch& on, std::shared_ptr<std::atomic<bool>> done) -> Task<void> {
      EXPECT_TRUE(co_await on.changed());
      *done = true;
    };
    asio::co_spawn(scheduler.executor(), waiting(watch, fired), asio::detached);
    advance_until(clock, [&] { return fired->load(); });
  }

  Scheduler scheduler{SchedulerOptions{.threads = 2}};
};

TEST_F(EtcdServer, a_cluster_that_is_not_there_is_io_and_every_endpoint_is_named) {
  const auto store = open("etcd:127.0.0.1:1,127.0.0.1:2");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind(), ErrorKind::io) << store.error().to_string();
  EXPECT_NE(store.error().message().find("127.0.0.1:1"), std::string::npos);
  EXPECT_NE(store.error().message().find("127.0.0.1:2"), std::string::npos);
}

TEST_F(EtcdServer, stores_with_different_prefixes_share_nothing) {
  const auto one = open(url() + "one/");
  const auto two = open(url() + "two/");
  ASSERT_TRUE(one && two);
  EXPECT_TRUE(put(*one, "key", "1"));
  EXPECT_EQ(*get(*two, "key"), std::nullopt);
  EXPECT_EQ(*get(*one, "key"), "1");
  close(*one);
  close(*two);
}

// The first one is let go while it gives its lane up.
TEST_F(EtcdServer, a_close_whose_caller_goes_is_finished_and_the_next_one_waits_for_it) {
  const auto store = open(url());
  ASSERT_TRUE(store) << store.error().to_string();
  ASSERT_TRUE(put(*store, "key", "1"));
  auto transaction = store->begin();
  const auto watch = scheduler.block_on(transaction.watch("key"));
  ASSERT_TRUE(watch) << watch.error().to_string();
  {
    asio::io_context loop;
    asio::co_spawn(
        loop, [&]() -> Task<void> { static_cast<void>(co_await store->close()); }, asio::detached);
    loop.poll();
  }
  OneShot<std::monostate> closed;
  const auto close_again = [](Store held, OneShot<std::monostate> told) -> Task<void> {
    static_cast<void>(co_await held.close());
    told.set({});
  };
  asio::co_spawn(scheduler.executor(), close_again(*store, closed), asio::detached);
  const auto deadline = system_clock().after(std::chrono::seconds(10));
  ASSERT_TRUE(scheduler.block_on(closed.wait_until(system_clock(), deadline)))
      << "it waits for one that nobody finishes";
  const auto told =
      scheduler.block_on((*watch)->changed(system_clock().after(std::chrono::seconds(10))));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().kind(), ErrorKind::closed) << told.error().to_string();
}

TEST_F(EtcdServer, a_version_from_which_nothing_could_be_counted_on_is_refused) {
  const auto store = open(url());
  ASSERT_TRUE(store) << store.error().to_string();
  const auto refused = scheduler.block_on(store->backend().raise_version(~Version{0}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_argument) << refused.error().to_string();
  EXPECT_TRUE(put(*store, "key", "1"));
  close(*store);
}

TEST_F(EtcdServer, a_prefix_that_holds_a_store_of_another_format_is_refused) {
  const std::string address = EtcdServers::shared(1).endpoints();
  pb::TxnRequest write;
  etcd::put(*write.add_success(), Layout("foreign/").format(), "semper-etcd-99");
  ASSERT_TRUE(ask(address, kTxnMethod, write.SerializeAsString()));
  const auto store = open("etcd:" + address + "?prefix=foreign/");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind(), ErrorKind::unsupported) << store.error().to_string();
  EXPECT_NE(store.error().message().find("semper-etcd-99"), std::string::npos);
}

TEST_F(EtcdServer, a_snapshot_whose_revision_was_compacted_is_a_conflict_so_that_it_runs_again) {
  const auto store = open(url());
  ASSERT_TRUE(store);
  EXPECT_TRUE(put(*store, "key", "1"));
  auto reader = store->begin();
  auto read = [&](Bytes key) { return scheduler.block_on(reader.get(key)); };
  EXPECT_EQ(*read("key"), "1");
  EXPECT_TRUE(put(*store, "key", "2"));
  compact(EtcdServers::shared(1).endpoint(0));
  const auto late = read("other");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::conflict) << late.error().to_string();
  EXPECT_EQ(*get(*store, "key"), "2");
  close(*store);
}

TEST_F(EtcdServer, an_idle_store_is_read_and_written_after_its_revision_was_compacted) {
  const auto store = open(url());
  ASSERT_TRUE(store);
  EXPECT_TRUE(put(*store, "key", "1"));
  const auto other = open(url() + "other/");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(put(*other, "key", "x"));
  compact(EtcdServers::shared(1).endpoint(0));
  EXPECT_EQ(*get(*store, "key"), "1");
  EXPECT_TRUE(put(*store, "key", "2"));
  close(*store);
  close(*other);
}

TEST_F(EtcdServer, a_watch_goes_on_after_its_stream_broke) {
  const auto store = open(url());
  ASSERT_TRUE(store);
  EXPECT_TRUE(put(*store, "key", "0"));
  for (int i = 1; i <= 5; ++i) {
    auto transaction = store->begin();
    auto watch = scheduler.block_on(transaction.watch("key"));
    ASSERT_TRUE(watch);
    static_cast<EtcdBackend&>(store->backend()).watch_hub().break_stream();
    EXPECT_TRUE(put(*store, "key", std::to_string(i)));
    EXPECT_TRUE(scheduler.block_on((*watch)->changed(system_clock().after(20s)))) << i;
  }
  EXPECT_GE(statistic(*store, "watch_streams"), 2);
  close(*store);
}

// The clock stands still, so that no slow read finds what an event must tell.
TEST_F(EtcdServer, the_first_change_after_the_snapshot_of_a_watch_is_told_by_an_event) {
  semper::testing::SimulatedClock clock;
  const Env env{&clock, &system_random()};
  const auto store = open(url(), env);
  ASSERT_TRUE(store);
  EXPECT_TRUE(put(*store, "key", "0"));  // from now on each put is one revision
  for (int i = 1; i <= 3; ++i) {
    auto transaction = store->begin();
    auto watch = scheduler.block_on(transaction.watch("key"));
    ASSERT_TRUE(watch);
    EXPECT_TRUE(put(*store, "key", std::to_string(i)));
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!scheduler.block_on((*watch)->changed(clock.now()))) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "change " << i << " was not told";
      std::this_thread::yield();
    }
  }
  close(*store);
}

// The clock stands still, so a stream that broke stays away until the test moves it.
TEST_F(EtcdServer, a_watch_whose_events_were_compacted_finds_the_change_by_reading) {
  semper::testing::SimulatedClock clock;
  const Env env{&clock, &system_random()};
  const auto store = open(url(), env);
  const auto other = open(url());
  ASSERT_TRUE(store && other);
  EXPECT_TRUE(put(*store, "key", "0"));
  EXPECT_TRUE(put(*store, "quiet", "0"));
  auto transaction = store->begin();
  auto watch = scheduler.block_on(transaction.watch("key"));
  auto quiet = scheduler.block_on(transaction.watch("quiet"));
  ASSERT_TRUE(watch && quiet);
  while (statistic(*store, "watch_streams") == 0) std::this_thread::yield();
  static_cast<EtcdBackend&>(store->backend()).watch_hub().break_stream();
  EXPECT_TRUE(put(*other, "key", "1"));
  EXPECT_TRUE(put(*other, "elsewhere", "1"));
  compact(EtcdServers::shared(1).endpoint(0));
  advance_until(clock, [&] { return statistic(*store, "watch_resyncs") >= 2; });
  must_fire(clock, **watch);
  EXPECT_TRUE(put(*other, "quiet", "1"));
  must_fire(clock, **quiet);  // it is on the stream again
  close(*store);
  close(*other);
}

// A watch that says it has seen the revision of a change, and the key before it: no event is to
// come.
TEST_F(EtcdServer, a_change_that_no_event_tells_of_is_found_by_the_slow_read) {
  semper::testing::SimulatedClock clock;
  const auto store = open(url(), Env{&clock, &system_random()});
  ASSERT_TRUE(store);
  const Bytes key = layout().stored("key");
  EXPECT_TRUE(put(*store, "key", "0"));
  const Revision before = range(key).kvs(0).mod_revision();
  EXPECT_TRUE(put(*store, "key", "1"));
  auto& hub = static_cast<EtcdBackend&>(store->backend()).watch_hub();
  const auto watch = hub.add(key, {range(key).header().revision(), before});
  ASSERT_TRUE(watch);
  must_fire(clock, **watch);
  advance_until(clock, [&] { return statistic(*store, "watch_rescues") == 1; });
  close(*store);
}

TEST_F(EtcdServer, a_full_cluster_is_exhausted_and_recovers_when_it_is_told_to) {
  EtcdServerOptions options;
  options.arguments = {"--quota-backend-bytes", std::to_string(4 << 20)};
  const EtcdServers full(options);
  const auto store = open("etcd:" + full.endpoints());
  ASSERT_TRUE(store);
  Status written;
  int count = 0;
  for (; written && count < 1'000; ++count) written = put(*store, "key", Bytes(90'000, 'v'));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::exhausted) << written.error().to_string();
  EXPECT_NE(written.error().message().find("alarm disarm"), std::string::npos);
  EXPECT_TRUE(get(*store, "key")) << "reads go on";
  compact(full.endpoint(0));
  ASSERT_TRUE(ask(full.endpoint(0), "/etcdserverpb.Maintenance/Defragment", {}));
  const auto status = ask(full.endpoint(0), kStatusMethod, {});
  pb::StatusResponse member;
  ASSERT_TRUE(status && member.ParseFromString(*status));
  // AlarmRequest { action = DEACTIVATE, memberID, alarm = NOSPACE }
  Bytes disarm("\x08\x02\x10", 3);
  for (auto id = member.header().member_id();; id >>= 7) {
    disarm.push_back(static_cast<char>(id < 0x80 ? id : (id & 0x7f) | 0x80));
    if (id < 0x80) break;
  }
  disarm.append("\x18\x01", 2);
  ASSERT_TRUE(ask(full.endpoint(0), "/etcdserverpb.Maintenance/Alarm", disarm));
  const Status again = put(*store, "key", "small");
  EXPECT_TRUE(again) << again.error().to_string();
  close(*store);
}

// Counts up without a pause while each of three nodes is killed, or stopped, and comes back.
TEST_F(EtcdServer, nodes_that_die_and_come_back_cost_no_increment) {
  EtcdServerOptions options;
  options.nodes = 3;
  EtcdServers cluster(options);
  const auto one = open("etcd:" + cluster.endpoints());
  const auto two = open("etcd:" + cluster.endpoint(2) + "," + cluster.endpoint(1));
  ASSERT_TRUE(one && two);
  std::atomic<bool> stop = false;
  std::atomic<std::int64_t> done = 0;
  std::atomic<int> running = 4;
  auto counting = [&](const Store& store) -> Task<void> {
    while (!stop) {
      auto counted = co_await store.transact([](Transaction& tx) -> Async<void> {
        SEMPER_CO_TRY(const auto seen, co_await tx.get("count"));
        tx.set("count", std::to_string(seen ? std::stoll(*seen) + 1 : 1));
        tx.add("sum", 1);
        co_return Status{};
      });
      EXPECT_TRUE(counted) << counted.error().to_string();
      if (counted) ++done;
    }
    --running;
  };
  for (int i = 0; i < 4; ++i) {
    asio::co_spawn(scheduler.executor(), counting(i % 2 == 0 ? *one : *two), asio::detached);
  }
  const auto go_on = [&] {
    const auto before = done.load();
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (done < before + 20 && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
    EXPECT_GE(done.load(), before + 20) << "nothing is committed any more";
  };
  go_on();
  for (int node = 0; node < 3; ++node) {
    cluster.stop(node);
    go_on();
    cluster.start(node);
    go_on();
  }
  cluster.pause(0);
  go_on();
  cluster.resume(0);
  go_on();
  stop = true;
  while (running > 0) std::this_thread::yield();
  EXPECT_EQ(*get(*one, "count"), std::to_string(done.load()));
  EXPECT_EQ(load_little_endian_u64(**get(*two, "sum")), static_cast<std::uint64_t>(done.load()));
  EXPECT_GT(statistic(*one, "failovers"), 0);
  const auto checked = scheduler.block_on(one->backend().check());
  EXPECT_TRUE(checked) << checked.error().to_string();
  close(*one);
  close(*two);
}

std::string written_to(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

TEST_F(EtcdServer, over_tls_a_server_is_checked_and_an_open_connection_refused) {
  const auto& identity = rpc::rpc_test::identity();
  const std::string base = ::testing::TempDir() + "semper-etcd-tls-" + std::to_string(::getpid());
  const auto certificate = written_to(base + ".crt", identity.certificate);
  const auto key = written_to(base + ".key", identity.private_key);
  EtcdServerOptions options;
  options.client_scheme = "https";
  options.arguments = {"--cert-file",        certificate,         "--key-file", key,
                       "--client-cert-auth", "--trusted-ca-file", certificate};
  const EtcdServers server(options);
  const std::string tls =
      "etcd:" + server.endpoints() + "?ca=" + certificate + "&cert=" + certificate + "&key=" + key;
  const auto until = std::chrono::steady_clock::now() + 30s;
  auto store = open(tls);
  while (!store && std::chrono::steady_clock::now() < until) store = open(tls);
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_TRUE(put(*store, "key", "secret"));
  EXPECT_EQ(*get(*store, "key"), "secret");
  close(*store);
  EXPECT_FALSE(open("etcd:" + server.endpoints()));
  EXPECT_FALSE(open(tls + "&server_name=somebody.else"));
}

TEST_F(EtcdServer, certificates_that_are_renewed_on_disk_are_used_from_the_next_connection_on) {
  const std::string base = ::testing::TempDir() + "semper-etcd-new-" + std::to_string(::getpid());
  const auto renew = [&] {
    const auto made = rpc::rpc_test::make_identity();
    written_to(base + ".crt", made.certificate);
    written_to(base + ".key", made.private_key);
  };
  renew();
  EtcdServerOptions options;
  options.client_scheme = "https";
  options.arguments = {"--cert-file",        base + ".crt",       "--key-file", base + ".key",
                       "--client-cert-auth", "--trusted-ca-file", base + ".crt"};
  EtcdServers server(options);
  const std::string url = "etcd:" + server.endpoints() + "?ca=" + base + ".crt&cert=" + base +
                          ".crt&key=" + base + ".key";
  const auto until = std::chrono::steady_clock::now() + 30s;
  auto store = open(url);
  while (!store && std::chrono::steady_clock::now() < until) store = open(url);
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_TRUE(put(*store, "key", "1"));
  server.stop(0);
  renew();
  server.restart(0);
  auto seen = get(*store, "key");
  while (!seen && std::chrono::steady_clock::now() < until) seen = get(*store, "key");
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_EQ(*seen, "1");
  close(*store);
}

TEST_F(EtcdServer, users_are_asked_for_a_password_and_kept_to_their_prefix) {
  if (std::system("etcdctl version > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "etcdctl is not installed (Debian: etcd-client)";
  }
  const EtcdServers server;
  const auto etcdctl = [&](const std::string& words) {
    const std::string command = "ETCDCTL_API=3 etcdctl --endpoints=" + server.endpoints() + " " +
                                words + " > /dev/null 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  };
  etcdctl("user add root:rootpw");
  etcdctl("user grant-role root root");
  etcdctl("role add app");
  etcdctl("role grant-permission app readwrite --prefix=true app/");
  etcdctl("user add ann:annpw");
  etcdctl("user grant-role ann app");
  etcdctl("auth enable");
  const auto file =
      written_to(::testing::TempDir() + "semper-etcd-pw-" + std::to_string(::getpid()), "annpw\n");
  const auto wrong = written_to(file + ".wrong", "no\n");
  const std::string base = "etcd:" + server.endpoints() + "?";
  const auto nobody = open(base + "prefix=app/");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind(), ErrorKind::permission) << nobody.error().to_string();
  const auto stranger = open(base + "prefix=app/&user=ann&password_file=" + wrong);
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().kind(), ErrorKind::permission) << stranger.error().to_string();
  const auto elsewhere = open(base + "prefix=other/&user=ann&password_file=" + file);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().kind(), ErrorKind::permission) << elsewhere.error().to_string();
  const auto store = open(base + "prefix=app/&user=ann&password_file=" + file);
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_TRUE(put(*store, "key", "1"));
  // Tokens end when the users change; the next request logs in again.
  etcdctl("--user=root:rootpw user add bob:bobpw");
  EXPECT_TRUE(put(*store, "key", "2"));
  // So do passwords; the new one is read where the old one was.
  etcdctl("--user=root:rootpw user delete ann");
  etcdctl("--user=root:rootpw user add ann:newpw");
  etcdctl("--user=root:rootpw user grant-role ann app");
  written_to(file, "newpw\n");
  EXPECT_TRUE(put(*store, "key", "2"));
  auto transaction = store->begin();
  auto watch = scheduler.block_on(transaction.watch("key"));
  ASSERT_TRUE(watch);
  EXPECT_TRUE(put(*store, "key", "3"));
  EXPECT_TRUE(scheduler.block_on((*watch)->changed(system_clock().after(20s))));
  close(*store);
}

}  // namespace
}  // namespace semper::etcd
