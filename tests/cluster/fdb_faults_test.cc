// The same workload on a FoundationDB cluster of your own, which this test cannot make: it says
// where it is, and how to torment it, by commands for a shell:
//
//   SEMPER_TEST_FDB_CLUSTER_FILE   the cluster; without it everything here is skipped
//   SEMPER_TEST_FDB_KILL           kills a process of it, and sees to it that it comes back
//   SEMPER_TEST_FDB_PAUSE          stops one (SIGSTOP), or cuts it off
//   SEMPER_TEST_FDB_RESUME         lets it go on
//   SEMPER_TEST_FDB_COORDINATORS   changes the coordinators, e.g. fdbcli --exec "coordinators auto"
//
// Each fault whose command is missing is skipped. The keys of a test, some megabytes, lie below a
// random prefix and stay there.
#include <cstdlib>

#include "campaign.h"
#include "fdb_store.h"

namespace semper::testing {
namespace {

class FoundationDbUnderFault : public Campaign {
 protected:
  void SetUp() override {
    if (const auto obstacle = fdb_obstacle()) GTEST_SKIP() << *obstacle;
    Campaign::SetUp();
    url_ = fdb_store();
  }
  void TearDown() override {
    if (!folder().empty()) Campaign::TearDown();
  }

  void command(const std::string& text) {
    EXPECT_EQ(std::system(text.c_str()), 0) << text;  // NOLINT: a command of whoever runs the test
  }

  std::string url_;
};

TEST_F(FoundationDbUnderFault, nothing_is_lost_or_repeated_when_a_host_is_killed) {
  torment(url_, [&](Workload& workload) {
    workload.replace_host(random().below(Workload::kHosts));
    pause_for(0, 1000);
  });
}

TEST_F(FoundationDbUnderFault, nothing_is_lost_or_repeated_when_a_process_is_killed) {
  const auto kill = environment("SEMPER_TEST_FDB_KILL");
  if (!kill)
    GTEST_SKIP() << "SEMPER_TEST_FDB_KILL does not say how to kill a process of the cluster";
  torment(url_, [&](Workload&) {
    command(*kill);
    pause_for(0, 2000);
  });
}

TEST_F(FoundationDbUnderFault, nothing_is_lost_or_repeated_when_a_process_is_paused) {
  const auto pause = environment("SEMPER_TEST_FDB_PAUSE");
  const auto resume = environment("SEMPER_TEST_FDB_RESUME");
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

TEST_F(FoundationDbUnderFault, nothing_is_lost_or_repeated_when_the_coordinators_change) {
  const auto change = environment("SEMPER_TEST_FDB_COORDINATORS");
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
