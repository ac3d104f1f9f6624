// How fast durable servers on fdb: are, beside FoundationDB's bare C API on the same cluster and in the
// same run.
//
//   SEMPER_TEST_FDB_CLUSTER_FILE=/etc/foundationdb/fdb.cluster
//   bench_foundationdb [--json PATH] [--smoke] [--only PART] [--runs N]
//
// Parts: call, casts, conflicts, hosts. Where no cluster is named it says so and measures nothing.
#include <cstdio>

#include "support/foundationdb_parts.h"
#include "support/report.h"

int main(int argc, char** argv) {
  using namespace semper::bench;
  Settings settings;
  if (!parse(argc, argv, settings)) return 2;
  if (!settings.role.empty()) return run_fdb_role(settings);
  Report report("foundationdb", settings.json);
  if (fdb_cluster_file().empty()) {
    std::printf("skipped: SEMPER_TEST_FDB_CLUSTER_FILE names no FoundationDB cluster\n");
    return report.finish();
  }
  for (const auto& part : fdb_parts()) {
    if (settings.only.empty() || settings.only == part.name) part.run(settings, report);
  }
  return report.finish();
}
