// A behaviour that works under its lock, behind a door, and what tests of the lock ask of it.
#pragma once

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {

using namespace std::chrono_literals;

// Work and Quick take the lock. Work then waits until the door of its process is open.
struct Workshop {
  using State = std::vector<std::string>;
  struct Work {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Quick {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Break {
    using Reply = std::uint64_t;
  };
  struct Measure {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Refuse {
    using Reply = std::uint64_t;
  };
  struct Finish {};
  struct Unhandled {
    using Reply = std::uint64_t;
  };
  struct Note {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages =
      semper::Messages<Work, Quick, Break, Measure, Refuse, Finish, Unhandled, Note, Lines>;

  Result<State> init(const EntityId&) { return State(); }

  Reply<std::uint64_t> handle_call(const Work& m, State& s, Context&) {
    s.push_back("begin " + m.text);
    return lock();
  }
  Outcome handle_cast(const Work& m, State& s, Context&) {
    s.push_back("begin " + m.text);
    return lock();
  }
  Task<Reply<std::uint64_t>> handle_locked(const Work& m, State& s, LockedContext& context) {
    {
      std::lock_guard guard(mutex);
      tokens.push_back(context.fencing_token());
      events.push_back(context.event());
    }
    ++entered;
    while (!door_is_open) {
      if (context.lost().stop_requested()) {
        ++lost;
        if (leaves_when_lost) break;
      }
      static_cast<void>(co_await sleep_for(context.clock(), 2ms));
    }
    s.push_back(name + " did " + m.text);
    co_return s.size();
  }

  Reply<std::uint64_t> handle_call(const Quick&, State&, Context&) { return lock(); }
  Outcome handle_cast(const Quick&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Quick& m, State& s, LockedContext&) {
    s.push_back(m.text);
    return s.size();
  }

  Reply<std::uint64_t> handle_call(const Measure&, State&, Context&) { return lock(); }
  Async<std::uint64_t> handle_locked(const Measure& m, State& s, LockedContext& context) {
    const auto length = m.text.size();
    const Duration a_while = 1ms;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(context.clock(), a_while));
    if (length == 0) co_return fail(ErrorKind::invalid_argument, "nothing to measure");
    s.push_back(m.text);
    co_return length;
  }

  Reply<std::uint64_t> handle_call(const Break&, State&, Context&) { return lock(); }
  Outcome handle_cast(const Break&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Break&, State& s, LockedContext&) {
    ++entered;
    s.push_back("must not be seen");
    throw std::runtime_error("broken in the workshop");
  }

  Reply<std::uint64_t> handle_call(const Refuse&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Refuse&, State& s, LockedContext&) {
    s.push_back("refused");
    return fail(ErrorKind::permission, "not in this workshop");
  }

  Outcome handle_cast(const Finish&, State&, Context&) { return lock(); }
  Outcome handle_locked(const Finish&, State& s, LockedContext&) {
    s.push_back("finish");
    return Outcome(stop("finished"));
  }
  void terminate(const State& s, const std::string& reason) {
    std::lock_guard guard(mutex);
    ends.push_back(reason + " " + std::to_string(s.size()));
  }

  Reply<std::uint64_t> handle_call(const Unhandled&, State&, Context&) { return lock(); }

  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    s.push_back(m.text);
    return s.size();
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.text); }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }

  static Work work(std::string text) { return {std::move(text)}; }
  static Quick quick(std::string text) { return {std::move(text)}; }
  static Note jot(std::string text) { return {std::move(text)}; }

  explicit Workshop(std::string whose = "host") : name(std::move(whose)) {}

  const std::string name;
  std::atomic<bool> door_is_open{false};
  std::atomic<bool> leaves_when_lost{false};
  std::atomic<int> entered{0};
  std::atomic<int> lost{0};
  std::mutex mutex;
  std::vector<std::uint64_t> tokens;
  std::vector<Event> events;
  std::vector<std::string> ends;
};

// Waits until a message holds the lock.
inline Task<void> until_locked(World& world, const Ref<Workshop>& shop) {
  co_await world.eventually([&]() -> Task<bool> {
    auto view = co_await inspect(world.store(), shop.entity());
    co_return view && view->lock.has_value();
  });
}

}  // namespace semper::testing
