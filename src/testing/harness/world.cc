#include "testing/harness/world.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "semper/base/log.h"
#include "semper/memory/memory.h"
#include "semper/testing/internal/watched.h"

namespace semper::testing::internal {
namespace {

constexpr std::size_t kHost = 0;

std::string next_store_url() {
  static std::uint64_t number = 0;
  return "memory:harness-" + std::to_string(++number);
}

std::string seconds_text(Duration span) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  std::string text = std::to_string(ms / 1000) + ".";
  const std::string rest = std::to_string(ms % 1000);
  text += std::string(3 - rest.size(), '0') + rest;
  if (text.size() < 9) text.insert(0, 9 - text.size(), ' ');
  return text;
}

}  // namespace

const char* to_string(HarnessFault fault) {
  switch (fault) {
    case HarnessFault::none:
      return "none";
    case HarnessFault::crash:
      return "crash";
    case HarnessFault::cancel:
      return "cancel";
    case HarnessFault::conflict:
      return "conflict";
    case HarnessFault::unknown_applied:
      return "unknown_applied";
    case HarnessFault::unknown_lost:
      return "unknown_lost";
  }
  return "";
}

std::string HarnessPlan::name() const {
  std::string text = path == HarnessPath::direct ? "direct" : "queued";
  if (fault == HarnessFault::none) return text;
  return text + ":" + to_string(fault) + "@" + std::to_string(at);
}

// Timers of handle_locked are points.
class HarnessWorld::LockedClock final : public Clock {
 public:
  explicit LockedClock(HarnessWorld& world) : world_(world) {}
  MonotonicTime now() const noexcept override { return world_.clock_.now(); }
  WallTime wall_time() const noexcept override { return world_.clock_.wall_time(); }
  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    return world_.clock_.call_at(when, [this, callback = std::move(callback)] {
      world_.at_point(kHost, PointKind::timer, "a timer that handle_locked awaits", false);
      callback();
    });
  }
  bool cancel(TimerId timer) noexcept override { return world_.clock_.cancel(timer); }

 private:
  HarnessWorld& world_;
};

class HarnessWorld::Witness final : public HarnessWitness {
 public:
  Witness(HarnessWorld& world, std::size_t process) : world_(world), process_(process) {}

  void callback_begins(const EntityId& id, std::string_view callback, std::string_view message,
                       BytesView content) override {
    world_.in_callback_ = id.to_string() + " " + std::string(callback) + " " +
                          std::string(message) + " " + shown_item(content);
  }
  void callback_ended(const EntityId& id, const std::string& outcome, const void* state) override {
    const std::string what = std::exchange(world_.in_callback_, {});
    note(what + ": " + outcome);
    if (state != nullptr) world_.check_state(id.type, id.to_string() + " after " + what, state);
  }
  void locked_begins(const EntityId& id, std::string_view message, BytesView content) override {
    note(id.to_string() + " handle_locked " + std::string(message) + " " + shown_item(content) +
         " begins");
  }
  void locked_ended(const EntityId& id, std::string_view message, const std::string& outcome,
                    const void* state) override {
    const std::string what = id.to_string() + " handle_locked " + std::string(message);
    note(what + " ends: " + outcome);
    world_.check_state(id.type, id.to_string() + " after " + what, state);
  }
  void action_begins(const EntityId& id, std::string_view message, BytesView state) override {
    const std::string what = id.to_string() + " " + std::string(message);
    note("action of " + what + ", committed " + shown_item(state));
    world_.actions_.push_back(what);
  }
  void terminated(std::string_view type, const std::string& reason) override {
    note(std::string(type) + " terminate: " + reason);
  }
  void remark(const std::string& sentence) override { world_.remark(sentence); }
  Clock& locked_clock() override { return *world_.locked_clock_; }

 private:
  void note(const std::string& text) {
    ++world_.events_;
    world_.note(world_.processes_[process_]->name(), text);
  }

  HarnessWorld& world_;
  const std::size_t process_;
};

HarnessWorld::HarnessWorld(const HarnessOptions& options, const std::vector<HarnessType>& types,
                           HarnessPlan plan)
    : options_(options),
      types_(types),
      plan_(plan),
      store_url_(next_store_url()),
      random_(options.seed),
      locked_clock_(std::make_unique<LockedClock>(*this)) {
  set_log_sink([this](LogLevel level, std::string_view component, std::string_view message) {
    if (level < LogLevel::warning) return;
    note("log", std::string(to_string(level)) + " " + std::string(component) + ": " +
                    std::string(message));
  });
  const Env env{&clock_, &random_};
  look([](HarnessWorld& world, Env with) -> Task<void> {
    auto url = StoreUrl::parse(world.store_url_);
    auto backend = co_await open_memory(*url, with);
    world.keeper_ = std::make_unique<Store>(std::move(*backend), with);
  }(*this, env));
  HarnessProcess::Options host{"host", kHost, store_url_, env, true, options.host, {}};
  host.serve = [this](Host& made) { serve(made, kHost); };
  processes_.push_back(std::make_unique<HarnessProcess>(std::move(host), *this));
  if (plan_.path == HarnessPath::queued) {
    HarnessProcess::Options caller{"caller", 1, store_url_, env, false, {}, {}};
    processes_.push_back(std::make_unique<HarnessProcess>(std::move(caller), *this));
  }
  for (auto& process : processes_) process->begin();
  const Status up = drive(
      [this] {
        return std::all_of(processes_.begin(), processes_.end(),
                           [](const auto& process) { return process->is_up(); });
      },
      "the processes begin");
  if (!up) finding(up.error().to_string());
}

HarnessWorld::~HarnessWorld() {
  processes_.clear();
  look([](Store store) -> Task<void> { static_cast<void>(co_await store.close()); }(*keeper_));
  set_log_sink(nullptr);
}

void HarnessWorld::serve(Host& host, std::size_t process) {
  const auto witness = std::make_shared<Witness>(*this, process);
  for (const auto& type : types_) type.serve(host, witness);
}

bool HarnessWorld::step_ready() {
  for (auto& process : processes_) {
    if (process->run_one()) {
      after_step();
      return true;
    }
  }
  return false;
}

void HarnessWorld::after_step() {
  ++steps_;
  if (std::exchange(cancels_, false)) {
    for (auto operation = operations_.rbegin(); operation != operations_.rend(); ++operation) {
      if ((*operation)->has_ended || (*operation)->was_lost) continue;
      note("****", plan_.name() + ": \"" + (*operation)->what + "\" is cancelled here");
      (*operation)->signal.emit(asio::cancellation_type::terminal);
      break;
    }
  }
  for (const std::size_t process : std::exchange(to_lose_, {})) lose(process);
}

void HarnessWorld::lose(std::size_t process) {
  auto& lost = *processes_[process];
  in_callback_.clear();
  lost.crash();
  for (auto& operation : operations_) {
    if (operation->process == process && !operation->has_ended) operation->was_lost = true;
  }
  note(lost.name(), "begins anew");
  lost.begin();
}

void HarnessWorld::crash() {
  note("****", "crash(): the host is lost here");
  lose(kHost);
}

bool HarnessWorld::is_news(std::size_t process, PointKind kind, const std::string& what,
                           bool is_upkeep) {
  const bool has_seen = std::exchange(events_seen_[process], events_) == events_;
  if (is_upkeep) return upkeep_seen_.emplace(process, what).second;
  return kind != PointKind::read || !has_seen;
}

CommitFault HarnessWorld::at_point(std::size_t process, PointKind kind, const std::string& what,
                                   bool is_upkeep) {
  if (!is_armed_) return CommitFault::none;
  if (kind == PointKind::timer) ++events_;
  const bool has_operation = std::any_of(
      operations_.begin(), operations_.end(),
      [](const auto& operation) { return !operation->has_ended && !operation->was_lost; });
  points_.push_back({kind, has_operation, is_news(process, kind, what, is_upkeep)});
  const std::size_t number = points_.size();
  if (points_.back().is_news) {
    note(processes_[process]->name(), "point " + std::to_string(number) + ": " + what);
  }
  if (number != plan_.at) return CommitFault::none;
  const bool is_commit = kind == PointKind::commit;
  switch (plan_.fault) {
    case HarnessFault::none:
      return CommitFault::none;
    case HarnessFault::crash:
      has_struck_ = true;
      note("****", plan_.name() + ": the " + processes_[process]->name() + " is lost here");
      to_lose_.push_back(process);
      return CommitFault::none;
    case HarnessFault::cancel:
      has_struck_ = has_operation;
      cancels_ = has_operation;
      return CommitFault::none;
    case HarnessFault::conflict:
    case HarnessFault::unknown_applied:
    case HarnessFault::unknown_lost:
      break;
  }
  if (!is_commit) return CommitFault::none;
  has_struck_ = true;
  note("****", plan_.name() + ": this commit meets it");
  if (plan_.fault == HarnessFault::conflict) return CommitFault::conflict;
  return plan_.fault == HarnessFault::unknown_applied ? CommitFault::unknown_applied
                                                      : CommitFault::unknown_lost;
}

void HarnessWorld::applied(std::size_t process, const CommitFacts& facts) {
  if (!facts.is_upkeep) ++events_;
  for (const auto& one : facts.sent) {
    sent_.push_back(one);
    note(processes_[process]->name(), "  queued for " + one.to.to_string() + ": " +
                                          one.message.name + " " + shown_item(one.message.payload));
  }
  for (const auto& call : facts.replies) {
    if (++replies_[call] == 2) {
      finding("a call was answered twice (the history has \"replies\" and reply() of one caller)");
    }
  }
}

std::shared_ptr<HarnessOperation> HarnessWorld::begin(std::string what, const HarnessWork& work,
                                                      HarnessPlace place) {
  auto operation = std::make_shared<HarnessOperation>();
  operation->what = std::move(what);
  operation->process = place == HarnessPlace::host ? kHost : processes_.size() - 1;
  HarnessProcess& process = *processes_[operation->process];
  const Status up = drive([&] { return process.is_up(); }, operation->what);
  if (!up) {
    operation->was_lost = true;
    finding(up.error().to_string());
    return operation;
  }
  note("test", operation->what);
  ++events_;
  operations_.push_back(operation);
  asio::co_spawn(process.executor(), work(Tenant(process.store())),
                 asio::bind_cancellation_slot(operation->signal.slot(),
                                              [operation](std::exception_ptr thrown) {
                                                operation->thrown = thrown;
                                                operation->has_ended = true;
                                              }));
  return operation;
}

Status HarnessWorld::wait(HarnessOperation& operation) {
  const Status ended = drive([&] { return operation.has_ended || operation.was_lost; },
                             "\"" + operation.what + "\"");
  if (!ended) {
    finding(ended.error().message());
    return ended;
  }
  if (operation.was_lost) {
    note("test", "  no answer: its process was lost");
    return fail(ErrorKind::outcome_unknown,
                "the process that waited for it was lost: " + operation.what);
  }
  if (!operation.thrown) return {};
  try {
    std::rethrow_exception(operation.thrown);
  } catch (const std::system_error& thrown) {
    if (thrown.code().value() != ECANCELED) throw;
  }
  return fail(ErrorKind::cancelled, "it was cancelled: " + operation.what);
}

Status HarnessWorld::drive(const std::function<bool()>& done, const std::string& what) {
  const MonotonicTime latest = clock_.after(options_.patience);
  while (!done()) {
    if (steps_ > kStepsMaximum) {
      return fail(ErrorKind::exhausted, what + " does not end: the run has taken " +
                                            std::to_string(kStepsMaximum) + " steps");
    }
    if (step_ready()) continue;
    if (!clock_.advance_to_next_timer(latest)) {
      return fail(ErrorKind::timeout,
                  what + " has not ended after the harness's patience (HarnessOptions::patience)" +
                      (clock_.next_timer() ? "" : "; nothing can wake it"));
    }
    after_step();
  }
  return {};
}

void HarnessWorld::advance(Duration span) {
  const MonotonicTime until = clock_.after(span);
  while (step_ready() || clock_.advance_to_next_timer(until)) after_step();
  clock_.advance(until - clock_.now());
  while (step_ready()) {
  }
}

Status HarnessWorld::settle() {
  std::string moves;
  const auto rests = [&] {
    // Looked at only where no process has anything to do.
    while (step_ready() && steps_ <= kStepsMaximum) {
    }
    const bool up = std::all_of(processes_.begin(), processes_.end(),
                                [](const auto& process) { return process->is_up(); });
    moves = up ? what_still_moves() : "a process begins";
    return moves.empty();
  };
  const Status rest = drive(rests, "the world");
  if (rest) return {};
  return fail(rest.error().kind(), "the world does not come to rest: " + moves);
}

void HarnessWorld::look(Task<void> looking) {
  std::exception_ptr thrown;
  bool done = false;
  asio::co_spawn(observer_, std::move(looking), [&](std::exception_ptr error) {
    thrown = error;
    done = true;
  });
  observer_.restart();
  while (!done && observer_.poll_one() > 0) {
  }
  if (thrown) std::rethrow_exception(thrown);
  if (!done) throw std::logic_error("Harness: what looks at the world must not wait in it");
}

std::vector<EntityId> HarnessWorld::entities_of(const std::string& type) {
  std::vector<EntityId> entities;
  look([](Tenant tenant, std::string name, std::vector<EntityId>& into) -> Task<void> {
    ListOptions options;
    options.limit = kEntitiesLookedAt;
    auto ids = co_await list_entities(tenant, name, options);
    if (!ids) co_return;
    for (auto& id : *ids) into.push_back({name, std::move(id)});
  }(tenant(), type, entities));
  return entities;
}

EntityView HarnessWorld::view_of(const EntityId& id) {
  EntityView view;
  view.id = id;
  look([](Tenant tenant, EntityId of, EntityView& into) -> Task<void> {
    auto seen = co_await inspect(std::move(tenant), std::move(of));
    if (seen) into = std::move(*seen);
  }(tenant(), id, view));
  return view;
}

std::string HarnessWorld::what_still_moves() {
  for (const auto& type : types_) {
    for (const auto& id : entities_of(type.name)) {
      const EntityView view = view_of(id);
      if (view.parked) continue;  // judged: it never moves
      if (view.lock) return id.to_string() + " is locked";
      if (view.queue_length > 0) {
        return std::to_string(view.queue_length) + " messages wait for " + id.to_string();
      }
    }
  }
  return "";
}

void HarnessWorld::judge() {
  for (const auto& type : types_) judge_type(type);
}

void HarnessWorld::judge_type(const HarnessType& type) {
  for (const auto& id : entities_of(type.name)) {
    const EntityView view = view_of(id);
    if (view.parked) {
      finding(id.to_string() + " cannot be read any more: " + *view.parked);
      continue;
    }
    if (view.dead_letters > 0 && !options_.dead_letters_are_expected) {
      finding(id.to_string() + " has " + std::to_string(view.dead_letters) +
              " dead letters; where the scenario sends what fails on purpose, set "
              "HarnessOptions::dead_letters_are_expected");
    }
    if (!view.state) continue;
    const auto state = type.decode(*view.state);
    if (state) {
      check_state(type.name, id.to_string() + " at the end", state->get());
    } else {
      finding(id.to_string() + ": its state does not decode: " + state.error().to_string());
    }
  }
}

void HarnessWorld::check_state(std::string_view type, const std::string& whose, const void* state) {
  for (const auto& one : types_) {
    if (one.name != type) continue;
    for (const auto& holds : one.invariants) {
      const Status held = holds(state);
      if (!held) finding("the invariant is broken, " + whose + ": " + held.error().message());
    }
  }
}

Status HarnessWorld::load(const Recording& recording) {
  Status loaded;
  look([](Tenant tenant, const Recording& from, Status& into) -> Task<void> {
    into = co_await restore_recording(std::move(tenant), from);
  }(tenant(), recording, loaded));
  note("test", "load " + recording.entity.to_string() + (loaded ? "" : ": failed"));
  return loaded;
}

void HarnessWorld::note(std::string_view lane, std::string_view text) {
  std::string line = seconds_text(clock_.now() - SimulatedClock::kStart) + "  ";
  line += lane;
  if (lane.size() < 6) line.append(6 - lane.size(), ' ');
  line += "  ";
  line += text;
  history_.push_back(std::move(line));
  if (history_.size() <= kHarnessHistory * 20) return;
  history_.pop_front();
  ++dropped_;
}

void HarnessWorld::finding(const std::string& what) {
  note("****", "FINDING: " + what);
  if (findings_.size() < kFindingsOfOneRun) findings_.push_back(what);
}

void HarnessWorld::happened(const std::string& what) {
  note("world", what);
  ++events_;
  ++outside_[what];
  if (in_callback_.empty()) return;
  finding("\"" + what + "\" happens inside a transaction, in " + in_callback_ +
          ": after a conflict it happens again, and it stays where the commit fails; let an action "
          "(Reply::then) or handle_locked do it");
}

std::size_t HarnessWorld::times(const std::string& what) const {
  const auto found = outside_.find(what);
  return found == outside_.end() ? 0 : found->second;
}

}  // namespace semper::testing::internal
