// TimerView: the timers that lie in a store, without their C++ types: for tools, dashboards and tests.
//
//   auto due = co_await semper::list_due(tenant, "Account");            // "what is due in the next hour?"
//   auto all = co_await semper::list_timers(tenant, account.entity());
//
// Everything here reads in one transaction and changes nothing, except where the name says so. Lists are
// bounded: the next page begins after the last row of the one before. Errors: not_found, invalid_argument,
// corrupt (the message names the key), and the store's own. Threads: any. When not: a callback, which sets
// and cancels its own timers (Context::send_after and its kin in server/context.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/server/cron.h"
#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/server/timer.h"

namespace semper {

struct TimerView {
  EntityId entity;
  std::string name;  // of a delayed cast: "~" and a number of its own
  enum class Kind : std::uint8_t { after, at, every, cron } kind = Kind::after;
  RawMessage message;
  // The next due time; none while a tick waits in the entity's queue: it is set when that is handled.
  std::optional<WallTime> due;
  std::optional<EveryOptions> every;  // of that kind; `first` where it was given
  std::optional<CronOptions> cron;    // of that kind
  bool is_paused = false;             // then it has no due time
  std::uint64_t ticks = 0;            // put into the queue so far
};

struct TimerListOptions {
  std::string after = {};  // only names after this one
  std::size_t limit = 100;
};

// Of one entity, by name. Empty where it has none.
Async<std::vector<TimerView>> list_timers(Tenant tenant, EntityId id, TimerListOptions options);
// No default argument above: see list_entities in server/inspect.h.
inline Async<std::vector<TimerView>> list_timers(Tenant tenant, EntityId id) {
  return list_timers(std::move(tenant), std::move(id), TimerListOptions());
}

struct DueListOptions {
  // Only timers due until then, by the calendar. Default: all.
  std::optional<WallTime> until = std::nullopt;
  // Only timers after this one, in the order of the list: the last of the page before.
  struct Place {
    WallTime due;
    std::string id;
    std::string name;
  };
  std::optional<Place> after = std::nullopt;
  std::size_t limit = 100;
};

// Of all entities of a type, by due time, soonest first; those whose tick waits in a queue, or that are
// paused, are not among them. Reads what it returns and no more, however many timers there are.
Async<std::vector<TimerView>> list_due(Tenant tenant, std::string type, DueListOptions options);
inline Async<std::vector<TimerView>> list_due(Tenant tenant, std::string type) {
  return list_due(std::move(tenant), std::move(type), DueListOptions());
}

// Timers of the entity. One read, whatever their number.
Async<std::uint64_t> count_timers(Tenant tenant, EntityId id);

// As Context::cancel_timer, from outside. Success: none of its ticks takes effect from now on, but for one
// whose handle_locked has begun. not_found: there is no such timer. Changes the store.
Async<void> cancel_timer(Tenant tenant, EntityId id, std::string name);

// As Context::pause_timer and resume_timer, from outside. Success where it is so already. not_found:
// there is no such timer. Changes the store.
Async<void> pause_timer(Tenant tenant, EntityId id, std::string name);
Async<void> resume_timer(Tenant tenant, EntityId id, std::string name);

// Sends a tick now, also of a paused timer. Its number is 0; the schedule stays, a timer of one tick is
// over. Success, without a second one, where a tick waits in the queue. not_found: no such timer. retry:
// that tick is from before the timer was paused, and will be dropped. Changes the store.
Async<void> trigger_timer(Tenant tenant, EntityId id, std::string name);

}  // namespace semper
