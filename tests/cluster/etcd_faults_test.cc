// Three real etcd nodes on machines of their own (lab.h), and everything that happens to clusters,
// while the workload runs. Each test is one kind of fault, done several times.
#include <iostream>
#include <optional>
#include <thread>

#include "campaign.h"
#include "etcd_cluster.h"

namespace semper::testing {
namespace {

class EtcdUnderFault : public Campaign {
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
    if (!folder().empty()) Campaign::TearDown();
  }

  EtcdCluster& cluster() { return *cluster_; }
  void torment(const std::function<void(Workload&)>& round) {
    Campaign::torment(cluster().url() + "?prefix=under-fault/", round);
  }
  int any_node() { return static_cast<int>(random().below(3)); }

 private:
  std::optional<EtcdCluster> cluster_;
};

TEST_F(EtcdUnderFault, work_goes_on_and_nothing_is_lost_or_repeated_with_the_leader_killed) {
  torment([&](Workload& workload) {
    const int victim = cluster().leader();
    cluster().kill(victim);
    workload.expect_progress("with the leader killed");
    cluster().start(victim);
  });
}

TEST_F(EtcdUnderFault, nothing_is_lost_or_repeated_when_all_nodes_are_killed_at_once) {
  torment([&](Workload&) {
    for (int node = 0; node < cluster().size(); ++node) cluster().kill(node);
    pause_for(0, 2000);
    for (int node = 0; node < cluster().size(); ++node) cluster().start(node);
  });
}

TEST_F(EtcdUnderFault, work_goes_on_and_nothing_is_lost_or_repeated_with_a_host_and_a_node_killed) {
  torment([&](Workload& workload) {
    const int victim = any_node();
    cluster().kill(victim);
    workload.replace_host(random().below(Workload::kHosts));
    workload.expect_progress("with a node killed and a host replaced");
    cluster().start(victim);
  });
}

TEST_F(EtcdUnderFault, work_goes_on_and_nothing_is_lost_or_repeated_with_the_leader_paused) {
  torment([&](Workload& workload) {
    const int victim = cluster().leader();
    cluster().pause(victim);
    workload.expect_progress("with the leader paused");
    pause_for(0, 2000);
    cluster().resume(victim);
  });
}

TEST_F(EtcdUnderFault, nothing_is_lost_or_repeated_when_every_node_is_paused_for_a_moment) {
  torment([&](Workload&) {
    for (int node = 0; node < cluster().size(); ++node) cluster().pause(node);
    pause_for(100, 4000);
    for (int node = 0; node < cluster().size(); ++node) cluster().resume(node);
  });
}

TEST_F(EtcdUnderFault, work_goes_on_and_nothing_is_lost_or_repeated_with_the_leader_cut_off) {
  torment([&](Workload& workload) {
    cluster().cut_off({cluster().leader()});
    workload.expect_progress("with the leader cut off from all");
    cluster().heal();
  });
}

TEST_F(EtcdUnderFault,
       nothing_is_lost_or_repeated_when_clients_reach_only_a_leader_without_followers) {
  torment([&](Workload&) {
    cluster().leave_clients_with({cluster().leader()});
    pause_for(1000, 5000);
    cluster().heal();
  });
}

TEST_F(EtcdUnderFault, nothing_is_lost_or_repeated_when_packets_go_one_way_only) {
  int kind = 0;
  torment([&](Workload&) {
    const int leader = cluster().leader();
    const int follower = cluster().other_than(leader);
    const int other = cluster().other_than(follower);
    switch (kind++ % 3) {
      case 0:  // the leader hears nobody, and is heard
        for (const int from : {follower, other, EtcdCluster::kClients}) {
          cluster().cut_one_way(from, leader);
        }
        break;
      case 1:  // the leader is not heard by one that it hears
        cluster().cut_one_way(leader, follower);
        break;
      default:  // answers of all nodes but one are lost
        cluster().cut_one_way(leader, EtcdCluster::kClients);
        cluster().cut_one_way(follower, EtcdCluster::kClients);
    }
    pause_for(1000, 4000);
    cluster().heal();
  });
}

TEST_F(EtcdUnderFault, nothing_is_lost_or_repeated_when_the_network_flaps) {
  constexpr int kFlaps = 6;
  torment([&](Workload&) {
    for (int i = 0; i < kFlaps; ++i) {
      cluster().cut_off({any_node()});
      pause_for(50, 900);
      cluster().heal();
      pause_for(50, 600);
    }
  });
}

TEST_F(EtcdUnderFault,
       work_goes_on_and_nothing_is_lost_or_repeated_with_history_compacted_under_the_watches) {
  constexpr int kCompactions = 10;
  torment([&](Workload& workload) {
    for (int i = 0; i < kCompactions; ++i) {
      const auto revision = std::to_string(cluster().revision());
      try {
        cluster().control({"compact", revision});
      } catch (const std::runtime_error& error) {
        // Of nodes that are a moment behind; what counts is that it happens again and again.
        std::cout << error.what() << std::endl;
      }
      pause_for(0, 100);
    }
    workload.expect_progress("with its history compacted");
  });
}

// Everything at once, as it comes.
TEST_F(EtcdUnderFault, nothing_is_lost_or_repeated_when_one_fault_comes_upon_another) {
  torment([&](Workload& workload) {
    const int killed = any_node();
    cluster().kill(killed);
    cluster().cut_off({any_node()});
    pause_for(200, 1500);
    const int paused = cluster().other_than(killed);
    cluster().pause(paused);
    workload.replace_host(random().below(Workload::kHosts));
    pause_for(200, 1500);
    cluster().heal();
    cluster().start(killed);
    pause_for(200, 1500);
    cluster().resume(paused);
  });
}

class EtcdOnSlowDisks : public Campaign {};

TEST_F(EtcdOnSlowDisks, work_goes_on_and_nothing_is_lost_or_repeated_with_a_disk_that_stalls) {
  constexpr std::uint64_t kOperations = 10;  // two or three a second are all that such a disk gives
  if (const auto obstacle = EtcdCluster::obstacle()) {
    GTEST_SKIP() << "no etcd cluster here: " << *obstacle;
  }
  EtcdClusterOptions options;
  options.folder = folder();
  options.disks = EtcdClusterOptions::Disks::own;
  std::optional<EtcdCluster> cluster;
  try {
    cluster.emplace(options);
  } catch (const std::runtime_error& error) {
    GTEST_SKIP() << error.what();
  }
  torment(cluster->url(), [&](Workload& workload) {
    const int leader = cluster->leader();
    {
      const SlowDisk slow(cluster->disk(cluster->other_than(leader)));
      workload.expect_progress("with the disk of a follower stalling", kOperations);
    }
    const SlowDisk slow(cluster->disk(leader));
    workload.expect_progress("with the disk of the leader stalling", kOperations);
    pause_for(0, 2000);
  });
  cluster.reset();
}

}  // namespace
}  // namespace semper::testing
