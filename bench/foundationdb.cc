// How fast durable servers on fdb: are, beside FoundationDB's bare C API on the same cluster and in
// the same run.
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
  const Arguments arguments = parse(argc, argv, fdb_parts(), settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  if (!settings.role.empty()) return run_fdb_role(settings);
  Report report("foundationdb", settings.json);
  if (fdb_cluster_file().empty()) {
    std::printf("skipped: SEMPER_TEST_FDB_CLUSTER_FILE names no FoundationDB cluster\n");
    return report.finish();
  }
  for (const auto& part : fdb_parts()) {
    if (settings.wants(part.name)) part.run(settings, report);
  }
  return report.finish();
}
