// An etcd cluster that runs out of its quota while it is used: it says so in a way that a program
// can act on, loses nothing, and serves again when somebody has made room, without anything being
// restarted.
#include <iostream>
#include <optional>

#include "campaign.h"
#include "etcd_cluster.h"

namespace semper::testing {
namespace {

constexpr std::uint64_t kQuotaBytes = 16u << 20;
constexpr std::size_t kFillingBytes = 90'000;
// Far more than the quota takes.
constexpr int kFillingsMaximum = 1000;
constexpr int kRoomAttempts = 5;

class EtcdFull : public Campaign {
 protected:
  // Writes one key again and again until the store refuses it: garbage that a compaction removes.
  Error fill(Scheduler& scheduler, const Store& store) {
    const Bytes value(kFillingBytes, 'x');
    const auto write = [&](Transaction& transaction) -> Async<void> {
      transaction.set("filling", value);
      co_return Status{};
    };
    for (int i = 0; i < kFillingsMaximum; ++i) {
      const Status written = scheduler.block_on(store.transact(write));
      if (!written) return written.error();
    }
    return Error(ErrorKind::internal, "the quota was never reached");
  }

  static bool is_readable(Scheduler& scheduler, const Store& store) {
    const auto value = scheduler.block_on(
        store.transact([](Transaction& transaction) { return transaction.get("filling"); }));
    return value && value->has_value();
  }

  // What the error's words, and docs/backends.md, say. Without --physical the defragmentation would
  // begin before anything was removed, and the alarm come back; other nodes may still be a moment
  // behind.
  void make_room(EtcdCluster& cluster) {
    for (int attempt = 0; attempt < kRoomAttempts; ++attempt) {
      cluster.control({"compact", "--physical", std::to_string(cluster.revision())});
      pause_for(200, 400);
      cluster.control({"defrag"});
      cluster.control({"alarm", "disarm"});
      pause_for(500, 1000);
      if (cluster.control({"alarm", "list"}).empty()) return;
    }
    ADD_FAILURE() << "etcd itself does not recover";
  }
};

TEST_F(EtcdFull, a_full_cluster_loses_nothing_and_recovers) {
  if (const auto obstacle = EtcdCluster::obstacle()) {
    GTEST_SKIP() << "no etcd cluster here: " << *obstacle;
  }
  EtcdClusterOptions options;
  options.folder = folder();
  options.quota_bytes = kQuotaBytes;
  std::optional<EtcdCluster> cluster(options);
  torment(cluster->url(), [&](Workload&) {
    Scheduler scheduler;
    const auto store = scheduler.block_on(open_store(cluster->url()));
    ASSERT_TRUE(store) << store.error().to_string();
    const Error full = fill(scheduler, *store);
    EXPECT_EQ(full.kind(), ErrorKind::exhausted) << full.to_string();
    EXPECT_NE(full.message().find("NOSPACE"), std::string::npos) << full.message();
    EXPECT_NE(full.message().find("etcdctl"), std::string::npos) << "it does not say what to do";
    EXPECT_TRUE(is_readable(scheduler, *store)) << "a full cluster cannot be read";
    pause_for(500, 2000);
    make_room(*cluster);
    const auto closed = scheduler.block_on(store->close());
    EXPECT_TRUE(closed) << closed.error().to_string();
  });
  cluster.reset();
}

}  // namespace
}  // namespace semper::testing
