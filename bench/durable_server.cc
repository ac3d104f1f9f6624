// How fast durable servers on sqlite: are, beside bare SQLite in the same folder and the same run.
//
//   bench_durable_server [--json PATH] [--smoke] [--only PART] [--runs N]
//
// Parts: call, callers, casts, queue, wake, processes, million. Each run measures the reference
// directly before or after the figure; the rows hold medians over the runs.
#include "support/durable_server_parts.h"
#include "support/report.h"

int main(int argc, char** argv) {
  using namespace semper::bench;
  Settings settings;
  const Arguments arguments = parse(argc, argv, parts(), settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  if (!settings.role.empty()) return run_role(settings);
  Report report("durable_server", settings.json);
  for (const auto& part : parts()) {
    if (settings.wants(part.name)) part.run(settings, report);
  }
  return report.finish();
}
