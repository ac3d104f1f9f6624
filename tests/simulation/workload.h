// Workload: what programs do in a simulation, and what must be true of it afterwards.
//
// A workload has behaviours, which every host serves, and clients: coroutines on a loop of some
// process, which are lost with it and begun anew on the next one. What a client remembers (which
// numbers it has sent, what it was told) lies in the workload, as a program's own file would.
// Everything public that a client does goes through Client::operate, with its name.
//
//   Task<void> Bank::client(Client& client) {
//     while (client.more()) {
//       auto account = semper::ref<Account>(client.store(), client.entity());
//       const Account::Transfer transfer{...};
//       auto told = co_await client.operate("Ref::call", "transfer 5 to 3",
//                                           account.call(transfer, patient()));
//       ...
//     }
//   }
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkers/fate.h"
#include "process.h"
#include "scenario.h"
#include "semper/semper.h"

namespace semper::simulation {

class Workload;

using testing::Fate;

// By what the errors of a cast, and of a call, promise (semper/server/ref.h).
template <class T>
Fate fate_of_cast(const Result<T>& result) {
  if (result) return Fate::done;
  return result.error().kind() == ErrorKind::outcome_unknown ? Fate::open : Fate::refused;
}
template <class T>
Fate fate_of_call(const Result<T>& result) {
  if (result) return Fate::done;
  switch (result.error().kind()) {
    case ErrorKind::timeout:
    case ErrorKind::outcome_unknown:
    case ErrorKind::closed:
      return Fate::open;
    default:
      return Fate::refused;
  }
}

// So long that no fault explains that it passes: a reply that does not come is lost.
inline CallOptions patient() {
  return CallOptions{std::chrono::hours(24)};
}

class Client {
 public:
  Client(Simulation& simulation, const Scenario& scenario, Workload& workload, std::size_t number,
         std::size_t index);

  Simulation& simulation() { return simulation_; }
  const Scenario& scenario() const { return scenario_; }
  Process& process() { return *process_; }
  const Store& store() const { return process_->store(); }
  // Among the clients of its workload.
  std::size_t index() const { return index_; }
  std::string name() const { return "client " + std::to_string(number_); }
  // Its own chance, which goes on when it is begun anew.
  Random& random() { return random_; }

  // One of the workload's entities.
  std::string entity() { return std::to_string(random_.below(scenario_.count("entities"))); }

  // Whether it shall do one more thing; counts it.
  bool more();
  void end_soon() { ends_soon_ = true; }
  // The faults are over.
  bool ends_soon() const { return ends_soon_; }
  Task<void> think();

  // Does it, unless it is cut off before: by the end of the loop, or by a cancellation.
  // `operation`: its name in the public headers ("Ref::cast"); `what`: for people.
  template <class T>
  Task<Result<T>> operate(std::string_view operation, std::string what, Async<T> work) {
    begin_operation(operation, std::move(what));
    Result<T> result = fail(ErrorKind::internal, "");
    if (random_.chance(scenario_.rate("cancel"))) {
      result = co_await cut_short(std::move(work));
    } else {
      result = co_await std::move(work);
    }
    end_operation(result ? nullptr : &result.error());
    co_return result;
  }

  // What it waits for, since when; nothing: it does not.
  const std::optional<std::string>& waits_for() const { return waits_for_; }
  Duration waits_since() const { return waits_since_; }
  bool is_running() const { return is_running_; }
  bool is_finished() const { return is_finished_; }
  std::uint64_t answered() const { return answered_; }

  // Of the run: where it lives.
  void live(Process& process, std::size_t loop);
  void lost();
  std::size_t home() const { return home_; }
  void set_home(std::size_t process) { home_ = process; }
  std::size_t home_loop() const { return home_loop_; }
  void set_home_loop(std::size_t loop) { home_loop_ = loop; }

 private:
  template <class T>
  Task<Result<T>> cut_short(Async<T> work) {
    auto signal = std::make_shared<asio::cancellation_signal>();
    process_->loop(home_loop_).after_steps(random_.below(kCancelSteps), [signal, this] {
      simulation_.note(process_->number(), EventKind::fault, name() + " is cancelled");
      signal->emit(asio::cancellation_type::terminal);
    });
    const auto executor = co_await asio::this_coro::executor;
    // Not every result has a default, which co_spawn would want of what it returns.
    auto out = std::make_shared<std::optional<Result<T>>>();
    auto whole = [](Async<T> inner, std::shared_ptr<std::optional<Result<T>>> into,
                    std::shared_ptr<asio::cancellation_signal>) -> Task<void> {
      co_await asio::this_coro::throw_if_cancelled(false);
      into->emplace(co_await std::move(inner));
    };
    co_await asio::co_spawn(executor, whole(std::move(work), out, signal),
                            asio::bind_cancellation_slot(signal->slot(), asio::use_awaitable));
    co_return std::move(**out);
  }

  void begin_operation(std::string_view operation, std::string what);
  void end_operation(const Error* error);
  Task<void> run();

  static constexpr std::uint64_t kCancelSteps = 24;

  Simulation& simulation_;
  const Scenario& scenario_;
  Workload& workload_;
  const std::size_t number_;
  const std::size_t index_;
  SeededRandom random_;
  std::size_t left_;
  bool ends_soon_ = false;
  bool is_running_ = false;
  bool is_finished_ = false;
  std::uint64_t answered_ = 0;
  std::size_t home_ = 0;
  std::size_t home_loop_ = 1;
  Process* process_ = nullptr;
  std::optional<std::string> waits_for_;
  Duration waits_since_{};
};

// Looks at the store when everything is over: without faults, from a process of its own.
class Observer {
 public:
  Observer(Simulation& simulation, Store store)
      : simulation_(simulation), store_(std::move(store)) {}

  Simulation& simulation() { return simulation_; }
  const Store& store() const { return store_; }
  void finding(const std::string& what) { simulation_.finding(what); }

  // The entity's state; none before its first message, or where it was killed.
  template <class B>
  Task<std::optional<typename B::State>> state(std::string id) {
    const EntityId entity{std::string(type_name<B>()), std::move(id)};
    auto view = co_await inspect(Tenant(store_), entity);
    if (!view) {
      if (view.error().kind() != ErrorKind::not_found) {
        finding("inspect " + entity.to_string() + ": " + view.error().to_string());
      }
      co_return std::nullopt;
    }
    if (view->parked) finding(entity.to_string() + " is parked: " + *view->parked);
    if (!view->state) co_return std::nullopt;
    auto state = decode<typename B::State>(*view->state);
    if (!state) {
      finding(entity.to_string() + ": " + state.error().to_string());
      co_return std::nullopt;
    }
    co_return std::move(*state);
  }

 private:
  Simulation& simulation_;
  const Store store_;
};

class Workload {
 public:
  virtual ~Workload() = default;

  virtual void serve(Host& host, Process& process) = 0;
  virtual Task<void> client(Client& client) = 0;

  // When the faults are over and every client was answered: what an operator would do then.
  virtual Task<void> settle(Observer& observer);
  // When nothing moves any more: findings for every promise that was broken.
  virtual Task<void> judge(Observer& observer) = 0;
  // Whether an operation may end so although its clients wait for a day and send what is right. By
  // default: what faults of the store and ends of processes explain.
  virtual bool expects(ErrorKind kind) const;
  // The types whose entities it has.
  virtual std::vector<std::string> types() const = 0;
};

struct WorkloadKind {
  const char* name;
  const char* what;  // a line for --help
  std::unique_ptr<Workload> (*make)(Simulation& simulation, const Scenario& scenario);
  // Whether a plan means it by `all`, too (scenario.h). Not for what is new.
  bool is_in_all = false;
};

// All there are (workloads.cc).
const std::vector<WorkloadKind>& workload_kinds();
KnownWorkloads known_workloads();

template <class W>
std::unique_ptr<Workload> make_workload(Simulation& simulation, const Scenario& scenario) {
  return std::make_unique<W>(simulation, scenario);
}

}  // namespace semper::simulation
