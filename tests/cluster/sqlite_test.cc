// The workload and its judges on a store that needs no cluster: hosts are killed and replaced. It
// runs everywhere, so that what the other tests stand on is always tested.
#include "campaign.h"

namespace semper::testing {
namespace {

class SqliteUnderFault : public Campaign {};

TEST_F(SqliteUnderFault, a_killed_host_loses_and_repeats_nothing) {
  torment("sqlite:" + folder() + "/store.db", [&](Workload& workload) {
    for (std::size_t host = 0; host < Workload::kHosts; ++host) {
      workload.replace_host(host);
      pause_for(0, 500);
    }
  });
}

}  // namespace
}  // namespace semper::testing
