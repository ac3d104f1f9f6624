// How fast durable servers on etcd: are, beside bare etcd on the same server in the same run.
//
//   bench_etcd [--json PATH] [--smoke] [--only PART] [--runs N]
//
// Parts: call, casts, conflicts, hosts. The benchmark starts an etcd of one node of its own, in
// SEMPER_BENCH_DIR or beside the program; where etcd is not installed it says so and has no rows.
#include "support/etcd_parts.h"

int main(int argc, char** argv) {
  using namespace semper::bench;
  etcd_parts::Settings settings;
  const Arguments arguments = etcd_parts::parse(argc, argv, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  if (!settings.role.empty()) return etcd_parts::run_role(settings);
  Report report("etcd", settings.json);
  etcd_parts::run(settings, report);
  return report.finish();
}
