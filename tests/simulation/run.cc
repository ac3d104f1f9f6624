#include "run.h"

#include <utility>

#include "process.h"
#include "simulation.h"
#include "workload.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;
using Kind = Disturbance::Kind;

constexpr Duration kLookEvery = 100ms;
// A disturbance in the midst of something waits so long for something to be done.
constexpr Duration kIdle = 30ms;

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

Process::Options Run::process_options(std::size_t number) {
  Process::Options options;
  options.has_host = number < scenario_.count("hosts");
  options.name = (options.has_host ? "host " : "caller ") + std::to_string(number);
  options.host.host_lease = scenario_.time("lease.host");
  options.host.lock_lease = scenario_.time("lease.lock");
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

void Run::blame_waiting_clients() {
  for (const auto& client : clients_) {
    if (client->waits_for()) {
      simulation_.finding(
          "not answered since " +
          std::to_string(std::chrono::duration<double>(client->waits_since()).count()) +
          " s: " + *client->waits_for());
    } else if (!client->is_finished()) {
      simulation_.finding(client->name() + " does not end");
    }
  }
}

void Run::liveness() {
  phase("liveness: the faults are over");
  is_calm_ = true;
  for (auto& process : processes_) {
    process->set_faults({});
    process->end_lies();
    process->resume();
    for (std::size_t loop = 1; loop <= Process::kCallerLoops; ++loop) {
      process->loop(loop).set_stalled(false);
      process->make_loop(loop);
    }
    process->begin();
  }
  for (auto& client : clients_) client->end_soon();
  const auto all_up = [this] {
    for (const auto& process : processes_) {
      if (process->is_down()) process->begin();
      if (!process->is_up() || process->is_stopping()) return false;
      for (std::size_t loop = 1; loop <= Process::kCallerLoops; ++loop) process->make_loop(loop);
    }
    return clients_are_done();
  };
  if (simulation_.run_until(all_up, kConverge) != Simulation::End::done) {
    for (const auto& process : processes_) {
      if (!process->is_up()) simulation_.finding(process->name() + " does not come up");
      if (process->is_stopping()) simulation_.finding(process->name() + " does not stop");
    }
    blame_waiting_clients();
    return;
  }
  Observer observer(simulation_, *observer_store_);
  const auto is_empty = [](const Outstanding& left) {
    return left.entities_with_work + left.replies + left.locks == 0;
  };
  if (!wait_for_residue("when the faults were over", is_empty)) return;
  for (auto& workload : workloads_) {
    if (!observe("settling", workload->settle(observer))) return;
  }
  if (!wait_for_residue("when all was settled", is_empty)) return;
  phase("verdict");
  for (auto& workload : workloads_) {
    if (!observe("judging", workload->judge(observer))) return;
  }
  observe("looking for dead letters", look_for_dead_letters());
}

Task<void> Run::look_for_dead_letters() {
  for (auto& workload : workloads_) {
    for (const auto& type : workload->types()) {
      auto ids = co_await list_entities(Tenant(*observer_store_), type);
      if (!ids) continue;
      for (const auto& id : *ids) {
        const EntityId entity{type, id};
        auto letters = co_await list_dead_letters(Tenant(*observer_store_), entity);
        if (!letters || letters->empty()) continue;
        simulation_.finding(entity.to_string() + " has a dead letter: " +
                            letters->front().message.name + ": " + letters->front().reason);
      }
    }
  }
}

bool Run::observe(const std::string& what, Task<void> task, Duration at_most) {
  auto ended = std::make_shared<bool>(false);
  asio::co_spawn(simulation_.own_loop().executor(), std::move(task),
                 [this, ended, what](std::exception_ptr thrown) {
                   *ended = true;
                   if (!thrown) return;
                   try {
                     std::rethrow_exception(thrown);
                   } catch (const std::exception& exception) {
                     simulation_.finding(what + " threw: " + exception.what());
                   }
                 });
  if (simulation_.run_until([ended] { return *ended; }, at_most) == Simulation::End::done)
    return true;
  simulation_.finding(what + " does not end");
  return false;
}

Task<void> Run::until_residue(std::string what, std::function<bool(const Outstanding&)> is_clean,
                              Outstanding& left, bool& clean) {
  const MonotonicTime latest = simulation_.clock().after(kConverge);
  while (true) {
    simulation_.surface().drawn("count_outstanding");
    auto counted = co_await count_outstanding(Tenant(*observer_store_));
    if (!counted) {
      simulation_.finding(what + ": " + counted.error().to_string());
      co_return;
    }
    left = *counted;
    clean = is_clean(left);
    if (clean || simulation_.clock().now() >= latest) co_return;
    static_cast<void>(co_await sleep_for(simulation_.clock(), kLookEvery));
  }
}

bool Run::wait_for_residue(const std::string& what,
                           std::function<bool(const Outstanding&)> is_clean) {
  Outstanding left;
  bool clean = false;
  if (!observe(what, until_residue(what, std::move(is_clean), left, clean), kConverge + 10s)) {
    return false;
  }
  if (clean) return true;
  simulation_.finding("left " + what + ": " + std::to_string(left.entities_with_work) +
                      " entities with work, " + std::to_string(left.replies) + " replies, " +
                      std::to_string(left.locks) + " locks, " + std::to_string(left.sessions) +
                      " sessions, " + std::to_string(left.hosts) + " hosts");
  return false;
}

bool Run::wait_until_alone() {
  std::string names;
  bool is_alone = false;
  auto look = [](Run& run, std::string& found, bool& alone) -> Task<void> {
    const MonotonicTime latest = run.simulation_.clock().after(kConverge);
    while (!alone && run.simulation_.clock().now() < latest) {
      run.simulation_.surface().drawn("list_hosts");
      const auto hosts = co_await list_hosts(Tenant(*run.observer_store_));
      found.clear();
      if (hosts) {
        for (const auto& host : *hosts) found += " " + host.name;
      }
      alone = found == " " + run.processes_[0]->name();
      static_cast<void>(co_await sleep_for(run.simulation_.clock(), kLookEvery));
    }
  };
  if (!observe("looking for hosts", look(*this, names, is_alone), kConverge + 10s)) return false;
  if (!is_alone) simulation_.finding("registered when one host was left:" + names);
  return is_alone;
}

// The first host stays until the others are gone and what they left is tidied up.
void Run::departure() {
  phase("departure");
  for (const auto timer : timers_) simulation_.clock().cancel(timer);
  for (std::size_t i = 1; i < processes_.size(); ++i) {
    // Half in order, half not.
    if (simulation_.random().chance(0.5)) {
      processes_[i]->crash();
      continue;
    }
    bool stopped = false;
    processes_[i]->stop([&] { stopped = true; });
    if (simulation_.run_until([&] { return stopped; }, kConverge) != Simulation::End::done) {
      simulation_.finding(processes_[i]->name() + " does not stop");
      return;
    }
    processes_[i]->crash();
  }
  if (!wait_until_alone()) return;
  // No call waits any more, so no session is renewed.
  if (!wait_for_residue("when one host was left", [](const Outstanding& left) {
        return left.replies + left.sessions == 0 && left.hosts <= 1;
      })) {
    return;
  }
  bool stopped = false;
  processes_[0]->stop([&] { stopped = true; });
  if (simulation_.run_until([&] { return stopped; }, kConverge) != Simulation::End::done) {
    simulation_.finding(processes_[0]->name() + " does not stop");
    return;
  }
  processes_[0]->crash();
  if (!wait_for_residue("when nobody was left",
                        [](const Outstanding& left) { return left.hosts + left.replies == 0; })) {
    return;
  }
  simulation_.network().destroy();
  simulation_.own_loop().destroy();
  for (const auto& process : processes_) {
    if (process->leaked_handles() == 0) continue;
    simulation_.finding(std::to_string(process->leaked_handles()) + " handles of " +
                        process->name() + " on the store are still held by something");
  }
  if (const auto timers = simulation_.clock().pending_timers(); timers > 0) {
    simulation_.finding(std::to_string(timers) + " timers are left");
  }
}

Outcome Run::outcome() {
  Outcome made;
  made.findings = simulation_.findings();
  made.steps = simulation_.steps();
  for (const auto& client : clients_) made.operations += client->answered();
  made.simulated = simulation_.elapsed();
  made.faults = struck_;
  for (const auto& process : processes_) {
    if (process->lies_told() > 0) made.faults["lies"] += process->lies_told();
  }
  made.surface = simulation_.surface();
  simulation_.trace().mix(made.steps);
  made.hash = simulation_.trace().hash();
  return made;
}

}  // namespace

Outcome run(const Scenario& scenario, Trace& trace) {
  return Run(scenario, trace).go();
}

}  // namespace semper::simulation
