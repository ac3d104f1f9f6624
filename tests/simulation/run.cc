#include "run.h"

#include <utility>

#include "run_phases.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;
using Kind = Disturbance::Kind;

// A disturbance in the midst of something waits so long for something to be done.
constexpr Duration kIdle = 30ms;

}  // namespace

Process::Options Run::process_options(std::size_t number) {
  Process::Options options;
  options.has_host = number < scenario_.count("hosts");
  options.name = (options.has_host ? "host " : "caller ") + std::to_string(number);
  options.host.host_lease = scenario_.time("lease.host");
  options.host.lock_lease = scenario_.time("lease.lock");
  options.host.spans = &simulation_.spans();
  options.serve = [this](Host& host, Process& process) {
    for (auto& workload : workloads_) workload->serve(host, process);
  };
  options.on_loop = [this](Process& process, std::size_t loop) { place_clients(process, loop); };
  options.on_loop_lost = [this](Process& process, std::size_t loop) {
    for (auto& client : clients_) {
      if (client->home() == process.number() && client->home_loop() == loop) client->lost();
    }
  };
  return options;
}

void Run::make_world() {
  auto open = [](Simulation& simulation, std::optional<Store>& store) -> Task<void> {
    register_builtin_backends();
    auto backend = co_await open_backend(simulation.store_url(), simulation.env());
    if (backend) store.emplace(std::move(*backend), simulation.env());
  };
  observe("opening the store", open(simulation_, observer_store_));
  for (const auto& name : scenario_.workloads) {
    for (const auto& kind : workload_kinds()) {
      if (name == kind.name) workloads_.push_back(kind.make(simulation_, scenario_));
    }
  }
  for (std::size_t i = 0; i < scenario_.processes(); ++i) {
    processes_.push_back(std::make_unique<Process>(simulation_, i, process_options(i)));
    processes_[i]->set_faults(scenario_.store_faults());
    processes_[i]->set_lies({scenario_.rate("lie.lost"), scenario_.rate("lie.twice")});
  }
  make_clients();
}

void Run::make_clients() {
  for (auto& workload : workloads_) {
    for (std::size_t i = 0; i < scenario_.count("clients"); ++i) {
      const std::size_t number = clients_.size();
      clients_.push_back(std::make_unique<Client>(simulation_, scenario_, *workload, number, i));
      clients_[number]->set_home(number % processes_.size());
      clients_[number]->set_home_loop(1 + number / processes_.size() % Process::kCallerLoops);
    }
  }
}

void Run::place_clients(Process& process, std::size_t loop) {
  for (auto& client : clients_) {
    if (client->home() != process.number() || client->home_loop() != loop) continue;
    if (!client->is_running() && !client->is_finished()) client->live(process, loop);
  }
}

bool Run::clients_are_done() const {
  for (const auto& client : clients_) {
    if (!client->is_finished()) return false;
  }
  return true;
}

void Run::safety() {
  phase("safety");
  for (auto& process : processes_) process->begin();
  for (const auto& disturbance : scenario_.disturbances) {
    later(disturbance.at, [this, disturbance] { disturb(disturbance); });
  }
  const auto end = [this] {
    return simulation_.elapsed() >= scenario_.time("duration") || clients_are_done();
  };
  auto sleep = [](Clock& clock, Duration span) -> Task<void> {
    static_cast<void>(co_await sleep_for(clock, span));
  };
  // Something that makes time go on until then, even where nothing else does.
  asio::co_spawn(simulation_.own_loop().executor(),
                 sleep(simulation_.clock(), scenario_.time("duration")), asio::detached);
  simulation_.run_until(end, scenario_.time("duration") + 1s);
}

// In the midst of what is done there, or soon where nothing is.
void Run::disturb(const Disturbance& disturbance) {
  if (is_calm_ || disturbance.process >= processes_.size()) return;
  Process& process = *processes_[disturbance.process];
  if (process.is_down()) return;
  auto struck = std::make_shared<bool>(false);
  auto once = [this, disturbance, struck] {
    if (!std::exchange(*struck, true) && !is_calm_) strike(disturbance);
  };
  const std::size_t loop = disturbance.steps % (Process::kCallerLoops + 1);
  if (process.loop(loop).exists()) process.loop(loop).after_steps(disturbance.steps, once);
  later(kIdle, once);
}

void Run::strike(const Disturbance& disturbance) {
  Process& process = *processes_[disturbance.process];
  simulation_.note(process.number(), EventKind::fault, to_text(disturbance));
  simulation_.disturbed();
  ++struck_[std::string(to_string(disturbance.kind))];
  const std::size_t loop = 1 + disturbance.steps % Process::kCallerLoops;
  switch (disturbance.kind) {
    case Kind::crash:
      process.crash();
      later(disturbance.length, [&process] { process.begin(); });
      break;
    case Kind::pause:
      process.pause();
      later(disturbance.length, [&process] { process.resume(); });
      break;
    case Kind::restart:
      process.stop([this, &process, length = disturbance.length] {
        process.crash();
        later(length, [&process] { process.begin(); });
      });
      break;
    case Kind::loop_destroyed:
      process.destroy_loop(loop);
      later(disturbance.length, [&process, loop] { process.make_loop(loop); });
      break;
    case Kind::loop_stalled:
      process.loop(loop).set_stalled(true);
      later(disturbance.length, [&process, loop] {
        if (!process.is_paused()) process.loop(loop).set_stalled(false);
      });
      break;
    case Kind::cut_off: {
      auto faults = scenario_.store_faults();
      faults.snapshot_refused = 1;
      // Nothing arrives, or only the answers do not.
      (disturbance.steps % 2 == 0 ? faults.unknown_lost : faults.unknown_applied) = 1;
      process.set_faults(faults);
      later(disturbance.length, [this, &process] {
        process.set_faults(is_calm_ ? testing::StoreFaults{} : scenario_.store_faults());
      });
      break;
    }
    case Kind::calendar:
      process.jump_calendar(disturbance.length);
      break;
  }
}

Outcome run(const Scenario& scenario, Trace& trace) {
  return Run(scenario, trace).go();
}

}  // namespace semper::simulation
