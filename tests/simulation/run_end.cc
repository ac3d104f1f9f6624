// What must come right once the faults are over: liveness, verdict and departure.
#include <utility>

#include "run_phases.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookEvery = 100ms;

}  // namespace

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

}  // namespace semper::simulation
