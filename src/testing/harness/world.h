// HarnessWorld: one run of a Harness: the processes, their time, what strikes them, and what was
// seen.
//
// One thread. A step is one handler of one process's loop; when nothing is ready, time goes to the
// next timer. What ends a process or a call takes effect between two steps.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "semper/server/recording.h"
#include "semper/testing/harness_report.h"
#include "semper/testing/internal/harness_type.h"
#include "semper/testing/simulated_clock.h"
#include "testing/harness/points.h"
#include "testing/harness/process.h"

namespace semper::testing::internal {

struct HarnessOperation {
  std::string what;
  std::size_t process = 0;
  bool has_ended = false;
  bool was_lost = false;
  std::exception_ptr thrown;
  asio::cancellation_signal signal;
};

// Which run: its path, and where what strikes. `none`: nothing does.
struct HarnessPlan {
  HarnessPath path = HarnessPath::direct;
  HarnessFault fault = HarnessFault::none;
  std::size_t at = 0;

  std::string name() const;
};

class HarnessWorld final : public HarnessPoints {
 public:
  HarnessWorld(const HarnessOptions& options, const std::vector<HarnessType>& types,
               HarnessPlan plan);
  ~HarnessWorld() override;

  // From now on points are counted, and the plan's fault strikes.
  void arm() { is_armed_ = true; }
  void disarm() { is_armed_ = false; }

  struct Point {
    PointKind kind;
    bool has_operation;  // of the scenario under way
    // Something has happened since the process's point before. Where not, losing it here is the
    // same as there.
    bool is_news;
  };
  const std::vector<Point>& points() const { return points_; }
  bool has_struck() const { return has_struck_; }

  std::shared_ptr<HarnessOperation> begin(std::string what, const HarnessWork& work,
                                          HarnessPlace place);
  Status wait(HarnessOperation& operation);
  void advance(Duration span);
  Status settle();
  void crash();
  SimulatedClock& clock() { return clock_; }
  Tenant tenant() const { return Tenant(*keeper_); }
  void look(Task<void> looking);
  Status load(const Recording& recording);

  // At rest: what the harness asserts of every world.
  void judge();

  void note(std::string_view lane, std::string_view text);
  void finding(const std::string& what);
  void remark(const std::string& sentence) { remarks_.insert(sentence); }
  const std::vector<std::string>& findings() const { return findings_; }
  const std::set<std::string>& remarks() const { return remarks_; }
  std::vector<std::string> history() const { return {history_.begin(), history_.end()}; }
  // Lines that history() has dropped.
  std::size_t dropped() const { return dropped_; }

  void happened(const std::string& what);
  std::size_t times(const std::string& what) const;
  const std::vector<HarnessSent>& sent() const { return sent_; }
  const std::vector<std::string>& actions() const { return actions_; }

  CommitFault at_point(std::size_t process, PointKind kind, const std::string& what,
                       bool is_upkeep) override;
  void applied(std::size_t process, const CommitFacts& facts) override;

 private:
  class Witness;
  class LockedClock;

  void serve(Host& host, std::size_t process);
  bool is_news(std::size_t process, PointKind kind, const std::string& what, bool is_upkeep);
  bool step_ready();
  void after_step();
  void lose(std::size_t process);
  // Steps until `done`. Error: timeout.
  Status drive(const std::function<bool()>& done, const std::string& what);
  // Nothing: at rest.
  std::string what_still_moves();
  void judge_type(const HarnessType& type);
  void check_state(std::string_view type, const std::string& whose, const void* state);
  EntityView view_of(const EntityId& id);
  std::vector<EntityId> entities_of(const std::string& type);

  // Steps of one run at most.
  static constexpr std::size_t kStepsMaximum = 2'000'000;
  static constexpr std::size_t kFindingsOfOneRun = 10;
  static constexpr std::size_t kEntitiesLookedAt = 10'000;

  const HarnessOptions& options_;
  const std::vector<HarnessType>& types_;
  const HarnessPlan plan_;
  const std::string store_url_;
  SimulatedClock clock_;
  SeededRandom random_;
  std::unique_ptr<LockedClock> locked_clock_;
  std::unique_ptr<Store> keeper_;
  asio::io_context observer_{1};
  std::vector<std::unique_ptr<HarnessProcess>> processes_;  // the host, and perhaps the caller

  bool is_armed_ = false;
  bool has_struck_ = false;
  std::vector<Point> points_;
  std::size_t events_ = 1;  // callbacks, commits, timers, what happens outside, operations
  std::map<std::size_t, std::size_t> events_seen_;  // by process, at its last point
  std::set<std::pair<std::size_t, std::string>> upkeep_seen_;
  std::size_t steps_ = 0;
  std::vector<std::size_t> to_lose_;
  bool cancels_ = false;
  std::vector<std::shared_ptr<HarnessOperation>> operations_;
  std::string in_callback_;

  std::deque<std::string> history_;
  std::size_t dropped_ = 0;
  std::vector<std::string> findings_;
  std::set<std::string> remarks_;
  std::map<std::string, std::size_t> outside_;
  std::map<std::string, std::size_t> replies_;
  std::vector<HarnessSent> sent_;
  std::vector<std::string> actions_;
};

}  // namespace semper::testing::internal
