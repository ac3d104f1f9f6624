// How fast Semper's queue is from process to process, beside Redis, PostgreSQL, RabbitMQ and NATS
// JetStream on the same machine and disk, in the same minutes.
//
//   bench_peers [--json PATH] [--smoke] [--only PART] [--runs N] [--systems semper,redis,...]
//
// Parts: peers (Semper beside each), and what all of them do over peers-entities, peers-pairs
// (processes), peers-in-flight, peers-latency and peers-bytes. Systems that are not installed are
// skipped, with the reason; `tools/setup --peers` installs them. Runs take turns: one of each
// system, then the next of each.
#include "peers/parts.h"

int main(int argc, char** argv) {
  using namespace semper::bench;
  peers::Settings settings;
  const Arguments arguments = peers::parse(argc, argv, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  if (!settings.role.empty()) return peers::run_role(settings);
  Report report("peers", settings.json);
  peers::Field field(peers::chosen(settings));
  for (const auto& part : peers::parts()) {
    if (settings.wants(part.name)) part.run(settings, field, report);
  }
  return report.finish();
}
