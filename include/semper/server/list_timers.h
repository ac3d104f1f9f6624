// TimerView: lists the timers in a store, without C++ types: for tools, dashboards and tests.
//
//   auto due = co_await semper::list_due(tenant, "Account");     // "what is due in the next hour?"
//   auto all = co_await semper::list_timers(tenant, account.entity());
//
// Everything here reads in one transaction and changes nothing, except where the name says so.
// Lists are bounded: the next page begins after the last row of the previous one. Errors:
// not_found, invalid_argument, corrupt (the message names the key), and the store's own. Threads:
// any. When not: a callback, which sets and cancels its own timers (Context::send_after and its kin
// in server/context.h).
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
  std::string name;  // for a delayed cast: "~" and a unique number
  enum class Kind : std::uint8_t { after, at, every, cron } kind = Kind::after;
  RawMessage message;
  // The next due time. None while a tick waits in the entity's queue: it is set when the tick is
  // handled.
  std::optional<WallTime> due;
  std::optional<EveryOptions> every;  // if it is of that kind; `first` if it was given
  std::optional<CronOptions> cron;    // if it is of that kind
  bool is_paused = false;             // then it has no due time
  std::uint64_t ticks = 0;            // put into the queue so far
};

struct TimerListOptions {
  std::string after = {};  // only names after this one
  std::size_t limit = 100;
};

// The timers of one entity, by name. Empty if it has none.
Async<std::vector<TimerView>> list_timers(Tenant tenant, EntityId id, TimerListOptions options);
// No default argument above: see list_entities in server/inspect.h.
inline Async<std::vector<TimerView>> list_timers(Tenant tenant, EntityId id) {
  return list_timers(std::move(tenant), std::move(id), TimerListOptions());
}

struct DueListOptions {
  // Only timers that are due by then, in wall-clock time. Default: all.
  std::optional<WallTime> until = std::nullopt;
  // Only timers after this one, in the order of the list: the last one of the previous page.
  struct Place {
    WallTime due;
    std::string id;
    std::string name;
  };
  std::optional<Place> after = std::nullopt;
  std::size_t limit = 100;
};

// The timers of all entities of a type, by due time, soonest first. Timers that are paused, or
// whose tick waits in a queue, are not listed. Reads only what it returns, however many timers
// there are.
Async<std::vector<TimerView>> list_due(Tenant tenant, std::string type, DueListOptions options);
inline Async<std::vector<TimerView>> list_due(Tenant tenant, std::string type) {
  return list_due(std::move(tenant), std::move(type), DueListOptions());
}

// The number of the entity's timers. One read, however many there are.
Async<std::uint64_t> count_timers(Tenant tenant, EntityId id);

// Like Context::cancel_timer, from outside. Success: none of its ticks takes effect from now on,
// except one whose handle_locked has begun. not_found: there is no such timer. Changes the store.
Async<void> cancel_timer(Tenant tenant, EntityId id, std::string name);

// Like Context::pause_timer and resume_timer, from outside. Success also if the timer is already in
// that state. not_found: there is no such timer. Changes the store.
Async<void> pause_timer(Tenant tenant, EntityId id, std::string name);
Async<void> resume_timer(Tenant tenant, EntityId id, std::string name);

// Sends a tick now, even if the timer is paused. Its number is 0. The schedule does not change; a
// timer with a single tick is then over. If a tick already waits in the queue: success, without a
// second one. not_found: there is no such timer. retry: the waiting tick is from before the timer
// was paused, and will be dropped. Changes the store.
Async<void> trigger_timer(Tenant tenant, EntityId id, std::string name);

}  // namespace semper
