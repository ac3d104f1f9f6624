#include "workloads.h"

namespace semper::simulation {

const std::vector<WorkloadKind>& workload_kinds() {
  static const std::vector<WorkloadKind> kinds = {
      {"counter", "adds and reads; each counter is linearizable", make_counter},
      {"order", "calls, casts and batches, in the order of their publishers, once", make_order},
  };
  return kinds;
}

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const auto& kind : workload_kinds()) names.emplace_back(kind.name);
  return names;
}

}  // namespace semper::simulation
