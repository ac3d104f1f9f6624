// What streams that heal cost beside the same gRPC calls read bare.
//
//   bench_rpc [--json PATH] [--smoke] [--only PART] [--runs N]
//
// Parts: rate, latency, restart, memory, heal. The server is bare gRPC in a process of its own, the
// same for both sides. A bare stream is read by gRPC's callback API with the frame decoded where it
// arrives: once with a coroutine that awaits each update ("the same style"), once with no coroutine
// and no thread but gRPC's. Each run measures the references directly before the figure.
#include "support/report.h"
#include "support/rpc_parts.h"
#include "support/rpc_peer.h"

int main(int argc, char** argv) {
  using namespace semper::bench;
  rpc_parts::Settings settings;
  const Arguments arguments = rpc_parts::parse(argc, argv, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  if (settings.role == "serve") return rpc_peer::serve(settings.port);
  if (!settings.role.empty()) return rpc_parts::run_role(settings);
  Report report("rpc", settings.json);
  for (const auto& part : rpc_parts::parts()) {
    if (settings.wants(part.name)) part.run(settings, report);
  }
  return report.finish();
}
