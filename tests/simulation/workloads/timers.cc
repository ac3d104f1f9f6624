// Durable timers, among crashes, other calendars and kills: each due time once, none after a cancel
// that came before it, a timer that is set again where it is, and delayed casts of processes
// without a host.
#include <map>
#include <optional>
#include <set>

#include "semper/server/list_timers.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

std::int64_t in_ms(WallTime when) {
  return std::chrono::ceil<std::chrono::milliseconds>(when.time_since_epoch()).count();
}

// Keeps a log of what became of its timers, in the order of its transactions.
struct Keeper {
  // Kinds of Set from here on are schedules.
  static constexpr std::uint64_t kCron = 6;
  static constexpr std::int64_t kScheduleMs = 2'000;
  static constexpr const char* kSchedule = "*/2 * * * * *";

  // Also the spec, and what the timer sends: it tells the settings apart.
  struct Ring {
    std::string name;
    std::uint64_t setting = 0;
    std::uint64_t kind = 0;  // of Set
    std::int64_t ms = 0;
    std::uint64_t count = 1;
    bool locks = false;
    bool jitters = false;
  };
  struct Set {
    Ring ring;
    using Reply = std::uint64_t;
  };
  struct Again {  // the spec that was set last
    std::string name;
    using Reply = std::uint64_t;
  };
  struct Cancel {
    std::string name;
    using Reply = std::uint64_t;
  };
  struct Pause {
    std::string name;
    bool resumes = false;
    using Reply = std::uint64_t;
  };
  struct Doubt {  // somebody is about to cancel it from outside
    std::string name;
    using Reply = std::vector<std::uint64_t>;  // which setting, how often it was set
  };
  struct Doubted {  // and has, if nobody has set it meanwhile
    std::string name;
    std::vector<std::uint64_t> seen;
  };
  using Messages = semper::Messages<Ring, Set, Again, Cancel, Pause, Doubt, Doubted>;

  enum What : std::uint64_t { set, again, cancelled, doubt, gone, tick, paused, resumed };
  struct Line {
    std::uint64_t what = set;
    Ring ring;
    std::uint64_t number = 0;
    std::uint64_t missed = 0;
    std::int64_t ms = 0;  // of the calendar: when it was set, or due
  };
  struct State {
    std::vector<Line> lines;
    std::map<std::string, Ring> last;
    std::map<std::string, std::uint64_t> settings;
  };

  explicit Keeper(Surface& used) : surface(used) {}

  Result<State> init(const EntityId&) { return State(); }

  void apply(const Ring& ring, Context& context) {
    const auto span = std::chrono::milliseconds(ring.ms);
    if (ring.kind == 0) {
      surface.drawn("Context::send_after");
      context.send_after(ring.name, span, ring);
    } else if (ring.kind == 1) {
      surface.drawn("Context::send_at");
      context.send_at(ring.name, WallTime(span), ring);
    } else {
      if (ring.kind >= kCron) return apply_cron(ring, context);
      surface.drawn("Context::send_every");
      EveryOptions options{.period = span};
      if (ring.jitters) options.jitter = span / 2;
      options.max_count = ring.count;
      if (ring.kind == 3) options.missed = EveryOptions::Missed::all;
      if (ring.kind == 4) options.missed = EveryOptions::Missed::skip;
      if (ring.kind == 5) options.pace = EveryOptions::Pace::fixed_delay;
      context.send_every(ring.name, options, ring);
    }
  }
  void apply_cron(const Ring& ring, Context& context) {
    surface.drawn("Context::send_cron");
    CronOptions options{.schedule = kSchedule, .zone = "Europe/Berlin"};
    options.max_count = ring.count;
    if (ring.kind == kCron + 1) options.missed = EveryOptions::Missed::all;
    if (ring.kind == kCron + 2) options.missed = EveryOptions::Missed::skip;
    if (ring.jitters) options.jitter = std::chrono::milliseconds(700);
    context.send_cron(ring.name, options, ring);
  }
  static Line about(What what, const std::string& name) {
    Ring ring;
    ring.name = name;
    return line(what, std::move(ring), 0);
  }
  static std::vector<std::uint64_t> settings_of(const State& s, const std::string& name) {
    const auto last = s.last.find(name);
    const auto settings = s.settings.find(name);
    if (last == s.last.end() || settings == s.settings.end()) return {0, 0};
    return {last->second.setting, settings->second};
  }
  static Line line(What what, Ring ring, std::int64_t ms) {
    Line made;
    made.what = what;
    made.ring = std::move(ring);
    made.ms = ms;
    return made;
  }

  Reply<std::uint64_t> handle_call(const Set& m, State& s, Context& context) {
    Ring ring = m.ring;
    if (ring.kind == 1) ring.ms += in_ms(context.now());
    apply(ring, context);
    s.last[ring.name] = ring;
    ++s.settings[ring.name];
    s.lines.push_back(line(set, ring, in_ms(context.now())));
    return s.lines.size();
  }
  Reply<std::uint64_t> handle_call(const Again& m, State& s, Context& context) {
    const auto found = s.last.find(m.name);
    if (found == s.last.end()) return s.lines.size();
    apply(found->second, context);
    ++s.settings[m.name];
    s.lines.push_back(line(again, found->second, in_ms(context.now())));
    return s.lines.size();
  }
  Reply<std::uint64_t> handle_call(const Cancel& m, State& s, Context& context) {
    surface.drawn("Context::cancel_timer");
    context.cancel_timer(m.name);
    s.lines.push_back(about(cancelled, m.name));
    return s.lines.size();
  }
  Reply<std::uint64_t> handle_call(const Pause& m, State& s, Context& context) {
    if (m.resumes) {
      surface.drawn("Context::resume_timer");
      context.resume_timer(m.name);
    } else {
      surface.drawn("Context::pause_timer");
      context.pause_timer(m.name);
    }
    s.lines.push_back(about(m.resumes ? resumed : paused, m.name));
    return s.lines.size();
  }
  Reply<std::vector<std::uint64_t>> handle_call(const Doubt& m, State& s, Context&) {
    s.lines.push_back(about(doubt, m.name));
    return settings_of(s, m.name);
  }
  void handle_cast(const Doubted& m, State& s, Context&) {
    if (settings_of(s, m.name) == m.seen) s.lines.push_back(about(gone, m.name));
  }
  Outcome handle_cast(const Ring& m, State& s, Context& context) {
    if (m.locks) return lock();
    surface.drawn("Context::tick");
    hear(m, s, context.tick());
    return {};
  }
  void handle_locked(const Ring& m, State& s, LockedContext& context) {
    surface.drawn("LockedContext::tick");
    hear(m, s, context.tick());
  }
  static void hear(const Ring& ring, State& s, const Tick* heard) {
    Line made = line(tick, ring, 0);
    if (heard != nullptr) {
      made.number = heard->number;
      made.missed = heard->missed;
      made.ms = in_ms(heard->nominal);
    }
    s.lines.push_back(std::move(made));
  }

  Surface& surface;
};

// Delayed casts, each once.
struct Letterbox {
  using State = std::vector<Line>;
  struct Post {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
  };
  using Messages = semper::Messages<Post>;
  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Post& m, State& s, Context&) { s.push_back({m.publisher, m.number}); }
};

// What the log must look like.
class Replay {
 public:
  Replay(std::string who, Observer& observer) : who_(std::move(who)), observer_(observer) {}

  void line(const Keeper::Line& line) {
    Timer& timer = timers_[line.ring.name];
    switch (line.what) {
      case Keeper::set:
        // Each setting is another message, so it replaces whatever was there.
        begin(timer, line);
        break;
      case Keeper::again:
        if (!timer.is_active) begin(timer, line);
        break;
      case Keeper::cancelled:
      case Keeper::gone:
        timer.is_active = false;
        break;
      case Keeper::paused:
        timer.is_paused = timer.is_active;
        break;
      case Keeper::resumed:
        timer.is_paused = false;
        break;
      case Keeper::doubt:
        timer.is_doubted = true;
        break;
      default:
        tick(timer, line);
    }
  }

  // By the workload, without a trace in this log.
  void resumed(const std::string& name) { timers_[name].is_resumed_at_last = true; }

  void end() const {
    for (const auto& [name, timer] : timers_) {
      if (timer.is_active && !timer.is_doubted && !timer.is_paused) {
        observer_.finding(who_ + ": timer " + name + " has sent " + std::to_string(timer.ticks) +
                          " of " + std::to_string(timer.line.ring.count) + " ticks, and is gone");
      }
    }
  }

 private:
  struct Timer {
    bool is_active = false;
    bool is_paused = false;
    bool is_resumed_at_last = false;
    bool is_doubted = false;
    Keeper::Line line;
    std::uint64_t ticks = 0;
    std::uint64_t number = 0;
  };

  static void begin(Timer& timer, const Keeper::Line& line) {
    timer.is_active = true;
    timer.is_paused = false;
    timer.line = line;
    timer.ticks = 0;
    timer.number = 0;
  }

  void tick(Timer& timer, const Keeper::Line& line) {
    const std::string which = who_ + ": tick " + std::to_string(line.number) + " of timer " +
                              line.ring.name + ", setting " + std::to_string(line.ring.setting);
    const auto& ring = timer.line.ring;
    if (!timer.is_active || ring.setting != line.ring.setting) {
      observer_.finding(which + " was handled after that was over");
      return;
    }
    const bool is_triggered = line.number == 0;
    // It may have been cancelled and set again without a trace in this log.
    if (timer.is_doubted) return;
    // One whose lock was taken before ends.
    const bool is_at_rest = timer.is_paused && !timer.is_resumed_at_last;
    if (is_at_rest && !is_triggered && !ring.locks) {
      observer_.finding(which + " was handled although the timer was paused");
    }
    if (is_triggered) {
      if (++timer.ticks >= ring.count) timer.is_active = false;
      return;
    }
    if (line.number != timer.number + line.missed + 1) {
      observer_.finding(which + " follows " + std::to_string(timer.number) + ", and says that " +
                        std::to_string(line.missed) + " were missed");
    }
    const bool is_fixed = ring.kind >= 2 && ring.kind != 5;
    const bool is_cron = ring.kind >= Keeper::kCron;
    const std::int64_t period = is_cron ? Keeper::kScheduleMs : ring.ms;
    const std::int64_t began = is_cron ? timer.line.ms - timer.line.ms % period : timer.line.ms;
    const auto due = began + static_cast<std::int64_t>(line.number) * period;
    if (is_fixed && line.ms != due) {
      observer_.finding(which + " was due at " + std::to_string(line.ms) + ", not at " +
                        std::to_string(due) + ": its anchor has moved");
    }
    timer.number = line.number;
    if (++timer.ticks == ring.count) timer.is_active = false;
  }

  const std::string who_;
  Observer& observer_;
  std::map<std::string, Timer> timers_;
};

class TimersWorkload final : public Workload {
 public:
  TimersWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Keeper>(simulation_.surface()));
    host.serve<Letterbox>();
  }
  std::vector<std::string> types() const override {
    return {std::string(type_name<Keeper>()), std::string(type_name<Letterbox>())};
  }
  // There was nothing to kill or to cancel.
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      ids_.insert(id);
      const auto kind = client.random().below(16);
      if (kind < 3) {
        co_await post(client, id, kind == 0);
      } else if (kind == 3) {
        co_await cancel_from_outside(client, id);
      } else if (kind == 4 && client.random().chance(0.4)) {
        co_await trigger(client, id);
      } else if (kind == 5) {
        co_await pause(client, id);
      } else if (kind == 4 && client.random().chance(0.5)) {
        auto keeper = semper::ref<Keeper>(client.store(), id);
        static_cast<void>(co_await client.operate("Ref::kill", id, keeper.kill()));
      } else {
        co_await change(client, id, kind);
      }
      co_await client.think();
    }
  }

  Task<void> settle(Observer& observer) override {
    co_await resume_all(observer);
    constexpr int kMost = 55;
    for (int i = 0; i < kMost; ++i) {
      std::uint64_t left = 0;
      for (const auto& type : types()) {
        for (const auto& id : ids_) {
          const EntityId entity{type, id};
          auto count = co_await count_timers(Tenant(observer.store()), entity);
          left += count.value_or(1);
        }
      }
      if (left == 0) co_return;
      static_cast<void>(co_await sleep_for(simulation_.clock(), std::chrono::seconds(1)));
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& type : types()) {
      auto due = co_await list_due(Tenant(observer.store()), type);
      if (!due) observer.finding("list_due: " + due.error().to_string());
      if (due && !due->empty()) {
        observer.finding(due->front().entity.to_string() + ": timer " + due->front().name +
                         " does not fire");
      }
    }
    for (const auto& id : ids_) {
      auto state = co_await observer.state<Keeper>(id);
      Replay replay("keeper " + id, observer);
      for (const auto& [keeper, name] : resumed_) {
        if (keeper == id) replay.resumed(name);
      }
      if (state) {
        for (const auto& line : state->lines) replay.line(line);
      }
      replay.end();
    }
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Letterbox>(id);
      log_.judge(observer, "letterbox", id, delivered(state.value_or(Letterbox::State())),
                 testing::DeliveryOrder::none);
    }
  }

 private:
  // Names of its own, so that what a client does to a timer is in order.
  static std::string name_of(Client& client) {
    return std::to_string(client.index()) + "." + std::to_string(client.random().below(2));
  }

  Task<void> change(Client& client, const std::string& id, std::uint64_t kind) {
    auto keeper = semper::ref<Keeper>(client.store(), id);
    const std::string name = name_of(client);
    if (kind < 7) {
      const Keeper::Cancel cancel{name};
      static_cast<void>(co_await client.operate("Ref::call", "cancel " + name + " of " + id,
                                                keeper.call(cancel, patient())));
    } else if (kind < 10) {
      const Keeper::Again again{name};
      static_cast<void>(co_await client.operate("Ref::call", "set again " + name + " of " + id,
                                                keeper.call(again, patient())));
    } else {
      Keeper::Set set;
      auto& ring = set.ring;
      ring.name = name;
      ring.setting = ++settings_;
      ring.kind = client.random().below(Keeper::kCron + 3);
      ring.ms = static_cast<std::int64_t>(1 + client.random().below(ring.kind < 2 ? 2'000 : 600));
      if (ring.kind >= 2) ring.count = 1 + client.random().below(4);
      ring.locks = client.random().chance(0.15);
      ring.jitters = ring.kind >= 2 && ring.kind != 5 && client.random().chance(0.3);
      static_cast<void>(co_await client.operate(
          "Ref::call", "set " + name + " of " + id + ", setting " + std::to_string(ring.setting),
          keeper.call(set, patient())));
    }
  }

  // Of which the entity's own log knows the order.
  Task<void> pause(Client& client, const std::string& id) {
    auto keeper = semper::ref<Keeper>(client.store(), id);
    const std::string name = name_of(client);
    const Keeper::Pause pause{name, false};
    static_cast<void>(co_await client.operate("Ref::call", "pause " + name + " of " + id,
                                              keeper.call(pause, patient())));
    co_await client.think();
    const Keeper::Pause resume{name, true};
    static_cast<void>(co_await client.operate("Ref::call", "resume " + name + " of " + id,
                                              keeper.call(resume, patient())));
  }
  Task<void> trigger(Client& client, const std::string& id) {
    const EntityId entity{std::string(type_name<Keeper>()), id};
    const std::string name = name_of(client);
    static_cast<void>(co_await client.operate("trigger_timer", name + " of " + id,
                                              trigger_timer(Tenant(client.store()), entity, name)));
  }
  // Whose client has not come to it.
  Task<void> resume_all(Observer& observer) {
    for (const auto& id : ids_) {
      const EntityId entity{std::string(type_name<Keeper>()), id};
      auto timers = co_await list_timers(Tenant(observer.store()), entity);
      if (!timers) continue;
      for (const auto& timer : *timers) {
        if (!timer.is_paused) continue;
        resumed_.emplace_back(id, timer.name);
        static_cast<void>(co_await resume_timer(Tenant(observer.store()), entity, timer.name));
      }
    }
  }

  Task<void> cancel_from_outside(Client& client, const std::string& id) {
    auto keeper = semper::ref<Keeper>(client.store(), id);
    const Keeper::Doubt doubt{name_of(client)};
    auto seen = co_await client.operate("Ref::call", "doubt " + doubt.name + " of " + id,
                                        keeper.call(doubt, patient()));
    if (!seen) co_return;
    auto told =
        co_await client.operate("cancel_timer", doubt.name + " of " + id,
                                cancel_timer(Tenant(client.store()), keeper.entity(), doubt.name));
    const bool is_gone = told || told.error().kind() == ErrorKind::not_found;
    if (!is_gone) co_return;
    const Keeper::Doubted doubted{doubt.name, *seen};
    static_cast<void>(co_await client.operate("Ref::cast", doubt.name + " of " + id + " is gone",
                                              keeper.cast(doubted)));
  }

  Task<void> post(Client& client, const std::string& id, bool at) {
    auto& sent = log_.begin(client.index(), id);
    const Letterbox::Post post{sent.publisher, sent.number};
    auto box = semper::ref<Letterbox>(client.store(), id);
    const auto span = std::chrono::milliseconds(client.random().below(2'000));
    // Not with ?:, which g++ 12 gets wrong around co_await.
    Status told;
    if (at) {
      const WallTime when = client.store().env().clock->wall_time() + span;
      told = co_await client.operate("Ref::cast_at", in_words(id, sent), box.cast_at(when, post));
    } else {
      told = co_await client.operate("Ref::cast_after", in_words(id, sent),
                                     box.cast_after(span, post));
    }
    sent.fate = fate_of_cast(told);
  }

  Simulation& simulation_;
  std::set<std::string> ids_;
  std::vector<std::pair<std::string, std::string>> resumed_;
  SentLog log_;
  std::uint64_t settings_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_timers(Simulation& simulation, const Scenario& scenario) {
  return make_workload<TimersWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
