// The workloads that there are; each in a file of its own.
#pragma once

#include "../workload.h"

namespace semper::simulation {

std::unique_ptr<Workload> make_counter(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_order(Simulation& simulation, const Scenario& scenario);

}  // namespace semper::simulation
