// The parts of bench_foundationdb.
#pragma once

#include <string>
#include <vector>

#include "durable_server_parts.h"

namespace semper::bench {

// The cluster file that SEMPER_TEST_FDB_CLUSTER_FILE names; empty: none.
std::string fdb_cluster_file();

const std::vector<Part>& fdb_parts();

// A process of the benchmark's own: loads one entity and prints casts/s.
int run_fdb_role(const Settings& settings);

}  // namespace semper::bench
