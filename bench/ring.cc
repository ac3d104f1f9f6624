// How fast rings and journals on files are, beside bare system calls on a file in the same folder.
//
//   bench_ring [--json PATH] [--smoke] [--only PART] [--runs N]
//
// Parts: memory, single, bandwidth, small, pop, cache, journal. Each run measures the reference
// directly before the figure; the rows hold medians over the runs.
#include "support/report.h"
#include "support/ring_parts.h"

int main(int argc, char** argv) {
  using namespace semper::bench;
  ring_parts::Settings settings;
  const Arguments arguments = ring_parts::parse(argc, argv, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  if (!settings.role.empty()) return ring_parts::run_role(settings);
  Report report("ring", settings.json);
  for (const auto& part : ring_parts::parts()) {
    if (settings.wants(part.name)) part.run(settings, report);
  }
  return report.finish();
}
