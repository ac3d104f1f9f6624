// Process: one simulated process: its loops, its handle on the store, its calendar, perhaps a host.
//
// Nothing but the store, and the links of its Neighbours, connects it to the others. It can be
// killed as by SIGKILL, stopped and resumed as by SIGSTOP and SIGCONT, cut off from the store, and
// lose a loop of its callers while its host goes on. The first loop is its host's; callers live on
// the others.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lying_backend.h"
#include "semper/server/host.h"
#include "semper/store/store.h"
#include "semper/testing/calendar_clock.h"
#include "semper/testing/faulty_backend.h"
#include "simulation.h"

namespace semper::simulation {

class Process {
 public:
  static constexpr std::size_t kCallerLoops = 2;

  struct Options {
    std::string name;
    bool has_host = false;
    HostOptions host = {};
    // Behaviours that the host serves; called at each beginning.
    std::function<void(Host&, Process&)> serve;
    // It has begun, and its callers may; or one of their loops was made anew.
    std::function<void(Process&, std::size_t loop)> on_loop;
    // A loop goes away, and the callers on it.
    std::function<void(Process&, std::size_t loop)> on_loop_lost;
  };

  Process(Simulation& simulation, std::size_t number, Options options);
  ~Process();

  std::size_t number() const { return number_; }
  const std::string& name() const { return options_.name; }
  bool has_host() const { return options_.has_host; }
  bool is_up() const { return state_ == State::up; }
  bool is_down() const { return state_ == State::down; }
  Simulation& simulation() { return simulation_; }
  // Preconditions: is_up().
  const Store& store() const { return *store_; }
  Host& host() { return *host_; }
  Loop& loop(std::size_t number) { return *loops_[number]; }
  bool is_paused() const { return is_paused_; }
  bool is_stopping() const { return is_stopping_; }

  void begin();
  void crash();
  // Stops the host in order; `then` is called when that is done.
  void stop(std::function<void()> then);
  void pause();
  void resume();
  void destroy_loop(std::size_t number);
  void make_loop(std::size_t number);
  void jump_calendar(Duration by) { calendar_.jump(by); }

  // Of a store that breaks its promises; to be set before it begins.
  void set_lies(const Lies& lies) { wanted_lies_ = lies; }
  void end_lies();
  std::uint64_t lies_told() const { return lies_told_ + (liar_ ? liar_->lies_told() : 0); }

  // Handles on the store of those that ended, which something still holds: it never will let go.
  std::size_t leaked_handles() const;

  // What the store does to it from now on.
  void set_faults(const testing::StoreFaults& faults);

 private:
  enum class State : std::uint8_t { down, beginning, up };

  Task<void> boot();
  Task<void> start_host();
  Task<void> stop_host(std::function<void()> then);
  void note(std::string_view text) { simulation_.note(number_, EventKind::life, text); }

  Simulation& simulation_;
  const std::size_t number_;
  const Options options_;
  testing::CalendarClock calendar_;
  std::vector<Loop*> loops_;
  State state_ = State::down;
  bool is_paused_ = false;
  bool is_stopping_ = false;
  testing::StoreFaults wanted_;
  Lies wanted_lies_;
  std::uint64_t lies_told_ = 0;
  std::shared_ptr<LyingBackend> liar_;
  std::shared_ptr<testing::FaultyBackend> faults_;
  std::vector<std::weak_ptr<testing::FaultyBackend>> former_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Host> host_;
};

}  // namespace semper::simulation
