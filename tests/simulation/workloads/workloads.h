// The workloads that there are; each in a file of its own.
#pragma once

#include "workload.h"

namespace semper::simulation {

std::unique_ptr<Workload> make_actions(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_answers(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_atomically(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_bank(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_cast_in(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_chain(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_counter(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_dead_letters(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_expiry(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_keys(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_letters(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_limits(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_lists(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_lives(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_locks(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_maps(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_once(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_order(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_priority(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_versions(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_registry(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_drain(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_journal(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_ring(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_timers(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_streams(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_traces(Simulation& simulation, const Scenario& scenario);
std::unique_ptr<Workload> make_waiting(Simulation& simulation, const Scenario& scenario);

}  // namespace semper::simulation
