// `semper store copy` from and to a cluster: there and back, with queues that keep their order,
// over a leader that is killed on the way, and with a value that does not fit.
#include <filesystem>
#include <optional>

#include "campaign.h"
#include "crash/ledger.h"
#include "etcd_cluster.h"
#include "fdb_store.h"
#include "gmock/gmock.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kRows = 3000;
constexpr int kAttemptsMaximum = 20;
constexpr auto kCopyLimit = std::chrono::seconds(60);

struct Ran {
  int code;
  std::string words;
};

class StoreCopyOnCluster : public Campaign {
 protected:
  void TearDown() override {
    if (!folder().empty()) Campaign::TearDown();
  }

  std::string sqlite(const std::string& name) const { return "sqlite:" + folder() + "/" + name; }

  static ChildProcess start_copy(const std::string& from, const std::string& to) {
    ProgramToStart program{SEMPER_PROGRAM};
    program.arguments = {"store", "copy", from, to};
    program.input = "";
    return ChildProcess(std::move(program));
  }
  static Ran copy(const std::string& from, const std::string& to) {
    auto tool = start_copy(from, to);
    const int code = tool.finish(kCopyLimit);
    return {code, tool.output() + tool.errors()};
  }
  static void must_copy(const std::string& from, const std::string& to) {
    const Ran ran = copy(from, to);
    EXPECT_EQ(ran.code, 0) << ran.words;
    EXPECT_THAT(ran.words, HasSubstr("on both sides"));
  }

  // Runs on an open store.
  template <class Run>
  void with(const std::string& url, Run run) {
    Scheduler scheduler;
    const auto store = scheduler.block_on(open_store(url));
    ASSERT_TRUE(store) << store.error().to_string();
    run(scheduler, *store);
    EXPECT_TRUE(scheduler.block_on(store->close()));
  }
  void set(const std::string& url, const Bytes& prefix, int rows, std::size_t bytes) {
    with(url, [&](Scheduler& scheduler, const Store& store) {
      const auto write = [&](Transaction& transaction) -> Async<void> {
        for (int i = 0; i < rows; ++i) {
          transaction.set(prefix + std::to_string(i), Bytes(bytes, static_cast<char>(i)));
        }
        co_return Status{};
      };
      const auto written = scheduler.block_on(store.transact(write));
      EXPECT_TRUE(written) << written.error().to_string();
    });
  }
  // Post `number` of the only publisher there is.
  void post(const std::string& url, std::uint64_t number) {
    with(url, [&](Scheduler& scheduler, const Store& store) {
      const auto cast =
          scheduler.block_on(ref<Ledger>(store, "moved").cast(Ledger::Post{"p", number, ""}));
      EXPECT_TRUE(cast) << cast.error().to_string();
    });
  }
  // All posts that wait are processed; what the ledger says then.
  Account account(const std::string& url) {
    Account found;
    with(url, [&](Scheduler& scheduler, const Store& store) {
      Host host(store);
      host.serve<Ledger>();
      EXPECT_TRUE(scheduler.block_on(host.start()));
      const EntityId id{std::string(Ledger::kName), "moved"};
      EXPECT_TRUE(wait_until([&] {
        const auto view = scheduler.block_on(inspect(store, id));
        return view && view->queue_length == 0 && view->state;
      }));
      EXPECT_TRUE(scheduler.block_on(host.stop()));
      const auto view = scheduler.block_on(inspect(store, id));
      found = decode<Ledger::State>(view->state.value()).value()["p"];
    });
    return found;
  }

  // There and back; posts are sent to every store on the way.
  void expect_order_over(const std::string& cluster) {
    set(sqlite("first.db"), "row/", kRows, 100);
    for (const std::uint64_t number : {1, 2}) post(sqlite("first.db"), number);
    must_copy(sqlite("first.db"), cluster);
    for (const std::uint64_t number : {3, 4}) post(cluster, number);
    must_copy(cluster, sqlite("second.db"));
    for (const std::uint64_t number : {5, 6}) post(sqlite("second.db"), number);
    const Account found = account(sqlite("second.db"));
    EXPECT_EQ(found.last, 6u);
    EXPECT_EQ(found.applied, 6u);
    EXPECT_EQ(found.repeats, 0u) << "a message was before an earlier one, or twice";
    EXPECT_TRUE(found.missed.empty());
  }
};

class StoreCopyOnEtcd : public StoreCopyOnCluster {
 protected:
  void SetUp() override {
    if (const auto obstacle = EtcdCluster::obstacle()) {
      GTEST_SKIP() << "no etcd cluster here: " << *obstacle;
    }
    Campaign::SetUp();
    EtcdClusterOptions options;
    options.folder = folder();
    cluster_.emplace(options);
  }
  void TearDown() override {
    cluster_.reset();
    StoreCopyOnCluster::TearDown();
  }

  std::string etcd() const { return cluster_->url() + "?prefix=copied/"; }

  std::optional<EtcdCluster> cluster_;
};

TEST_F(StoreCopyOnEtcd, messages_keep_their_order_on_the_way_there_and_back) {
  expect_order_over(etcd());
}

TEST_F(StoreCopyOnEtcd, a_value_that_does_not_fit_is_found_before_anything_is_written) {
  set(sqlite("big.db"), "big/", 1, 1'000'000);
  set(sqlite("big.db"), "aaa/", 10, 10);
  const Ran ran = copy(sqlite("big.db"), etcd());
  EXPECT_EQ(ran.code, 1) << ran.words;
  EXPECT_THAT(ran.words, HasSubstr("key big/0: its value has 1000000 bytes, and the target's limit "
                                   "value_bytes is 100000"));
  with(etcd(), [&](Scheduler& scheduler, const Store& store) {
    const KeyRange all("", "\xff\xff");
    const auto page = scheduler.block_on(
        store.transact([&](Transaction& transaction) { return transaction.get_range(all); }));
    EXPECT_TRUE(page && page->rows.empty()) << "something was written";
  });
}

// Killed with the cluster in trouble, and run again and again, it gets there.
TEST_F(StoreCopyOnEtcd, a_copy_over_a_leader_that_dies_is_whole) {
  set(sqlite("first.db"), "row/", 100'000, 100);
  int attempts = 0;
  Ran last{1, ""};
  while (last.code != 0 && attempts < kAttemptsMaximum) {
    auto tool = start_copy(sqlite("first.db"), etcd());
    if (++attempts <= 2) {
      EXPECT_TRUE(wait_until([&] { return tool.has_written("measured") || !tool.is_running(); }));
      pause_for(0, 500);
      const int victim = cluster_->leader();
      cluster_->kill(victim);
      if (attempts == 1) tool.kill_hard();
      cluster_->start(victim);
    }
    last.code = tool.finish(kCopyLimit);
    last.words = tool.output() + tool.errors();
  }
  EXPECT_EQ(last.code, 0) << "after " << attempts << " attempts: " << last.words;
  EXPECT_THAT(last.words, HasSubstr("verified  100000 keys"));
}

class StoreCopyOnFoundationDb : public StoreCopyOnCluster {
 protected:
  void SetUp() override {
    if (const auto obstacle = fdb_obstacle()) GTEST_SKIP() << *obstacle;
    Campaign::SetUp();
    fdb_ = fdb_store();
  }

  std::string fdb_;
};

TEST_F(StoreCopyOnFoundationDb, messages_keep_their_order_on_the_way_there_and_back) {
  expect_order_over(fdb_);
}

// FoundationDB's versions cannot be raised from here, and those of etcd: are far above a young
// cluster's.
TEST_F(StoreCopyOnFoundationDb, a_copy_after_which_stamps_would_be_given_again_is_refused) {
  constexpr Version kFar = Version{1} << 61;
  set(sqlite("far.db"), "row/", 10, 10);
  with(sqlite("far.db"), [&](Scheduler& scheduler, const Store& store) {
    EXPECT_TRUE(scheduler.block_on(store.backend().raise_version(kFar)));
  });
  const Ran ran = copy(sqlite("far.db"), fdb_);
  EXPECT_EQ(ran.code, 1) << ran.words;
  EXPECT_THAT(ran.words, HasSubstr("advanceversion"));
}

}  // namespace
}  // namespace semper::testing
