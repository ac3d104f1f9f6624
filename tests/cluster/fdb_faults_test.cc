// The same workload on a FoundationDB cluster of your own, which this test can not make: it says where it
// is, and how to torment it, by commands for a shell:
//
//   SEMPER_TEST_FDB_CLUSTER_FILE   the cluster; without it everything here is skipped
//   SEMPER_TEST_FDB_KILL           kills a process of it, and sees to it that it comes back
//   SEMPER_TEST_FDB_PAUSE          stops one (SIGSTOP), or cuts it off
//   SEMPER_TEST_FDB_RESUME         lets it go on
//   SEMPER_TEST_FDB_COORDINATORS   changes the coordinators, e.g. fdbcli --exec "coordinators auto"
//
// Each fault whose command is missing is skipped. The keys are below prefix=semper-cluster-test, a prefix
// of each run's own.
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "campaign.h"
#include "lab.h"

namespace semper::testing {
namespace {

std::optional<std::string> setting(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

class FoundationDbUnderFault : public Campaign {
 protected:
  void SetUp() override {
    const auto cluster_file = setting("SEMPER_TEST_FDB_CLUSTER_FILE");
    if (!cluster_file) {
      GTEST_SKIP() << "no FoundationDB here: SEMPER_TEST_FDB_CLUSTER_FILE does not name a cluster";
    }
    if (Lab::is_entered()) {
      GTEST_SKIP() << "an etcd test before this one has taken the process off the network: run the "
                      "two apart, as ctest does";
    }
    Campaign::SetUp();
    url_ = "fdb:" + *cluster_file + "?prefix=cluster-test-" + std::to_string(::getpid());
  }
  void TearDown() override {
    if (!folder().empty()) Campaign::TearDown();
  }

  void command(const std::string& text) {
    EXPECT_EQ(std::system(text.c_str()), 0) << text;  // NOLINT: a command of whoever runs the test
  }

  std::string url_;
};

TEST_F(FoundationDbUnderFault, a_host_is_killed) {
  torment(url_, [&](Workload& workload) {
    workload.replace_host(random().below(Workload::kHosts));
    pause_for(0, 1000);
  });
}

TEST_F(FoundationDbUnderFault, a_process_is_killed) {
  const auto kill = setting("SEMPER_TEST_FDB_KILL");
  if (!kill)
    GTEST_SKIP() << "SEMPER_TEST_FDB_KILL does not say how to kill a process of the cluster";
  torment(url_, [&](Workload&) {
    command(*kill);
    pause_for(0, 2000);
  });
}

TEST_F(FoundationDbUnderFault, a_process_is_paused) {
  const auto pause = setting("SEMPER_TEST_FDB_PAUSE");
  const auto resume = setting("SEMPER_TEST_FDB_RESUME");
  if (!pause || !resume) {
    GTEST_SKIP()
        << "SEMPER_TEST_FDB_PAUSE and _RESUME do not say how to pause a process of the cluster";
  }
  torment(url_, [&](Workload&) {
    command(*pause);
    pause_for(500, 5000);
    command(*resume);
  });
}

TEST_F(FoundationDbUnderFault, the_coordinators_change) {
  const auto change = setting("SEMPER_TEST_FDB_COORDINATORS");
  if (!change) {
    GTEST_SKIP() << "SEMPER_TEST_FDB_COORDINATORS does not say how to change the coordinators";
  }
  torment(url_, [&](Workload&) {
    command(*change);
    pause_for(0, 2000);
  });
}

}  // namespace
}  // namespace semper::testing
