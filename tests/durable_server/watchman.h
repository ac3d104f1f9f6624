// A behaviour that writes down the ticks of its timers, and what tests of timers ask of it.
#pragma once

#include <atomic>
#include <functional>
#include <stdexcept>

#include "behaviours.h"
#include "semper/server/list_timers.h"
#include "world.h"

namespace semper::testing {

using namespace std::chrono_literals;

// Writes down each tick.
struct Watchman {
  struct Seen {
    std::string timer;
    std::uint64_t number = 0;
    std::uint64_t missed = 0;
    std::int64_t nominal_ms = 0;
    std::int64_t handled_ms = 0;
  };
  using State = std::vector<Seen>;

  struct Ring {
    bool locks = false;
    bool fails = false;
    bool sets_itself = false;
    std::string cancels;  // another timer
  };
  struct Note {
    std::string text;
  };
  struct After {
    std::string name;
    std::int64_t ms = 0;
    Ring ring;
    using Reply = bool;
  };
  struct Every {
    std::string name;
    std::int64_t ms = 0;
    std::uint64_t count = 0;
    Ring ring;
    using Reply = bool;
  };
  struct At {
    std::string name;
    std::int64_t ms = 0;
  };
  struct Cancel {
    std::string name;
    using Reply = bool;
  };
  struct Cron {
    std::string name;
    std::string schedule;
    std::string zone;
    std::uint64_t count = 0;
    std::int64_t jitter_ms = 0;
    using Reply = bool;
  };
  struct Pause {
    std::string name;
    bool resumes = false;
    using Reply = bool;
  };
  struct Fill {
    std::uint64_t timers = 0;
    using Reply = bool;
  };
  struct Hold {};  // the lock, until it is let go
  struct Read {
    using Reply = State;
  };
  using Messages =
      semper::Messages<Ring, Note, After, Every, At, Cron, Pause, Cancel, Fill, Hold, Read>;

  std::atomic<bool> is_held{false};
  std::atomic<bool> may_go{false};
  std::atomic<int> locked_rings{0};
  std::function<void()> while_ringing;

  Result<State> init(const EntityId&) { return State(); }

  static std::int64_t ms(WallTime when) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  }
  static void see(State& s, const Tick* tick, WallTime now) {
    Seen seen;
    if (tick != nullptr) {
      seen = {tick->timer, tick->number, tick->missed, ms(tick->nominal), ms(now)};
    }
    s.push_back(seen);
  }

  Outcome handle_cast(const Ring& m, State& s, Context& context) {
    if (m.fails) throw std::runtime_error("the bell is broken");
    if (while_ringing) while_ringing();
    if (m.locks) return lock();
    see(s, context.tick(), context.now());
    if (!m.cancels.empty()) context.cancel_timer(m.cancels);
    if (m.sets_itself && s.size() < 3) context.send_after(context.tick()->timer, 20ms, m);
    return {};
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back({m.text}); }
  void handle_locked(const Ring&, State& s, LockedContext& context) {
    ++locked_rings;
    see(s, context.tick(), context.clock().wall_time());
  }
  void handle_info(const After& m, State&, Context& context) {
    context.send_after(m.name, std::chrono::milliseconds(m.ms), m.ring);
  }
  Reply<bool> handle_call(const After& m, State&, Context& context) {
    context.send_after(m.name, std::chrono::milliseconds(m.ms), m.ring);
    return true;
  }
  Reply<bool> handle_call(const Every& m, State&, Context& context) {
    EveryOptions options{.period = std::chrono::milliseconds(m.ms)};
    options.max_count = m.count;
    context.send_every(m.name, options, m.ring);
    return true;
  }
  Reply<bool> handle_call(const Cron& m, State&, Context& context) {
    CronOptions options{.schedule = m.schedule, .zone = m.zone};
    options.max_count = m.count;
    options.jitter = std::chrono::milliseconds(m.jitter_ms);
    context.send_cron(m.name, options, Ring{});
    return true;
  }
  static void apply(const Pause& m, Context& context) {
    if (m.resumes) {
      context.resume_timer(m.name);
    } else {
      context.pause_timer(m.name);
    }
  }
  Reply<bool> handle_call(const Pause& m, State&, Context& context) {
    apply(m, context);
    return true;
  }
  void handle_cast(const Pause& m, State&, Context& context) { apply(m, context); }
  void handle_cast(const At& m, State&, Context& context) {
    context.send_at(m.name, WallTime(std::chrono::milliseconds(m.ms)), Ring{});
  }
  Reply<bool> handle_call(const Cancel& m, State&, Context& context) {
    context.cancel_timer(m.name);
    return true;
  }
  void handle_cast(const Cancel& m, State&, Context& context) { context.cancel_timer(m.name); }
  void handle_info(const Cancel& m, State&, Context& context) { context.cancel_timer(m.name); }
  Reply<bool> handle_call(const Fill& m, State&, Context& context) {
    for (std::uint64_t i = 0; i < m.timers; ++i) {
      context.send_after("t" + std::to_string(i), 1h, Ring{});
    }
    return true;
  }
  Reply<State> handle_call(const Read&, State& s, Context&) { return s; }
  Outcome handle_cast(const Hold&, State&, Context&) { return lock(); }
  asio::awaitable<void> handle_locked(const Hold&, State&, LockedContext& context) {
    is_held = true;
    while (!may_go && !context.lost().stop_requested()) {
      static_cast<void>(co_await sleep_for(context.clock(), 1ms));
    }
    is_held = false;
  }
};

inline Watchman::After after(std::string name, std::int64_t ms, Watchman::Ring ring = {}) {
  return {std::move(name), ms, ring};
}
inline Watchman::Every every(std::string name, std::int64_t ms, std::uint64_t count = 0,
                             Watchman::Ring ring = {}) {
  return {std::move(name), ms, count, ring};
}
inline Watchman::Cron cron(std::string name, std::string schedule, std::uint64_t count = 0) {
  return {std::move(name), std::move(schedule), "Europe/Berlin", count};
}
inline Watchman::Cancel cancel(std::string name) {
  return {std::move(name)};
}

inline Task<void> set_paused(World& world, std::string id, std::string name, bool is_paused) {
  auto ref = world.ref<Watchman>(std::move(id));
  Watchman::Pause message;
  message.name = std::move(name);
  message.resumes = !is_paused;
  must(co_await ref.call(message));
}

inline Task<Watchman::State> seen_by(World& world, std::string id) {
  auto reader = world.ref<Watchman>(std::move(id));
  const Watchman::Read read;
  co_return must(co_await reader.call(read));
}

inline Task<std::size_t> count_seen(World& world, std::string id) {
  auto seen = co_await seen_by(world, std::move(id));
  co_return seen.size();
}

inline Task<std::vector<TimerView>> timers_of(World& world, std::string id) {
  const EntityId entity{std::string(type_name<Watchman>()), std::move(id)};
  co_return must(co_await list_timers(Tenant(world.store()), entity));
}

// Nothing waits for its time any more, and nothing is left of timers that are over.
inline Task<void> expect_no_timers(World& world, std::string id) {
  auto left = co_await timers_of(world, id);
  EXPECT_TRUE(left.empty());
  auto due = must(co_await list_due(Tenant(world.store()), std::string(type_name<Watchman>())));
  EXPECT_TRUE(due.empty());
  const EntityId entity{std::string(type_name<Watchman>()), std::move(id)};
  const auto count = must(co_await count_timers(Tenant(world.store()), entity));
  EXPECT_EQ(count, 0u);
}

}  // namespace semper::testing
