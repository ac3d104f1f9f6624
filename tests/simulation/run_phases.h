// Run: one scenario from its beginning to its verdict, phase by phase: safety in run.cc, what must
// come right afterwards in run_end.cc. For these two alone; others call run() (run.h).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "process.h"
#include "run.h"
#include "simulation.h"
#include "workload.h"

namespace semper::simulation {

class Run {
 public:
  Run(const Scenario& scenario, Trace& trace)
      : scenario_(scenario), simulation_(scenario.seed, trace) {}

  // Whatever still waits goes before what it refers to.
  ~Run() {
    for (auto& process : processes_) process->crash();
    simulation_.own_loop().destroy();
    simulation_.network().destroy();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Outcome go() {
    make_world();
    safety();
    liveness();
    if (simulation_.findings().empty()) departure();
    return outcome();
  }

 private:
  void make_world();
  void make_clients();
  Process::Options process_options(std::size_t number);
  void place_clients(Process& process, std::size_t loop);

  void safety();
  void disturb(const Disturbance& disturbance);
  void strike(const Disturbance& disturbance);
  void liveness();
  void departure();

  void later(Duration span, std::function<void()> act) {
    timers_.push_back(simulation_.clock().call_at(simulation_.clock().after(span), std::move(act)));
  }
  void phase(std::string_view name) { simulation_.note(kNoLane, EventKind::phase, name); }
  bool clients_are_done() const;
  void blame_waiting_clients();
  // Runs a coroutine of the observer; false (and a finding): it did not end.
  bool observe(const std::string& what, Task<void> task, Duration at_most = kConverge);
  Task<void> until_residue(std::string what, std::function<bool(const Outstanding&)> is_clean,
                           Outstanding& left, bool& clean);
  bool wait_for_residue(const std::string& what, std::function<bool(const Outstanding&)> is_clean);
  // Until the first process's host is the only one that is registered.
  bool wait_until_alone();
  Task<void> look_for_dead_letters();
  Outcome outcome();

  const Scenario& scenario_;
  Simulation simulation_;
  std::optional<Store> observer_store_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<std::string, std::uint64_t> struck_;
  std::vector<Clock::TimerId> timers_;  // of the disturbances
  bool is_calm_ = false;
};

}  // namespace semper::simulation
