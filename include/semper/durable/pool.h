// Pool<T>: a bounded number of connections of one kind, each for one f at a time.
//
// What for: many concurrent callers of a protocol that handles one request at a time (PostgreSQL,
// Redis, TCP). When not: one connection is enough, or its protocol multiplexes many callers by
// itself (durable.h).
//
//   semper::PoolOptions<Session> options{.connections = 8};
//   options.each.name = "billing";
//   auto pool = semper::Pool<Session>::create(connect, is_broken, options);
//   auto rows = co_await pool.with([&](Session& s) { return s.query(text); });
//
// Each place of the pool is a Durable with exclusive access (DurableOptions say what that means,
// and what breaks a connection). It connects when it is first needed, and reconnects when it has
// broken. Among the free places, the connected one that was used last is chosen first, so a pool
// under little load uses few connections. If all are in use, callers wait, first come, first
// served; at most each.max_waiters of them.
//
// Errors of with: those of Durable. `timeout` before the turn says how many are in use and wait. An
// f must not call `with` on its own pool: if all do, they wait for each other.
//
// Threads, ownership, forks: as Durable.
// Idea: HikariCP (places, lifetimes), deadpool (a cancelled caller gives its place back).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/bound_arguments.h"
#include "semper/durable/internal/durable_value.h"

namespace semper {

template <class T>
struct PoolOptions {
  // The maximum number of connections. Default 8: more help only if the other side processes as
  // many requests in parallel.
  std::size_t connections = 8;
  // Options of each connection; `access` is always exclusive. `name` is the pool's: log lines add
  // "#" and the number of the place; metrics have the pool's, and add all of them up.
  DurableOptions<T> each = DurableOptions<T>();
};

struct PoolStatistics {
  std::size_t connections = 0;  // places
  std::size_t intact = 0;       // of those, connected
  std::size_t in_use = 0;
  std::size_t waiting = 0;  // callers that wait for their turn
  std::uint64_t calls = 0;
  std::uint64_t attempts = 0;
  std::uint64_t failed = 0;  // failed attempts
  std::uint64_t breaks = 0;
};

template <class T>
class Pool {
 public:
  using Options = PoolOptions<T>;
  using Create = std::function<Async<T>()>;
  using IsBroken = std::function<bool(const T&)>;

  // Connects nothing yet (unless repair_every says so).
  static Pool create(Create to_create, IsBroken is_broken, Options options = Options()) {
    SEMPER_ASSERT(options.connections > 0, "a pool has a place");
    auto members = std::make_shared<internal::Members>();
    const std::string name = options.each.name;
    members->turns =
        std::make_shared<internal::Turns>(name, options.connections, options.each.max_waiters);
    for (std::size_t place = 0; place < options.connections; ++place) {
      auto each = options.each;
      each.name = name + "#" + std::to_string(place);
      members->cores.push_back(internal::make_core<T>(
          to_create, is_broken, nullptr, std::move(each), members->turns, place, name));
    }
    Pool made(std::move(members));
    for (const auto& core : made.owner_->members->cores) core->start_repair();
    return made;
  }

  // As Durable::with, including the form with arguments. With g++ 12, name a lambda that captures
  // by value first (docs/testing.md).
  template <class F, class First, class... Rest>
  requires internal::TakesToo<F, T&, First, Rest...>
  auto with(F f, First&& one, Rest&&... rest) const {
    return with(first().settings().with, std::move(f), std::forward<First>(one),
                std::forward<Rest>(rest)...);
  }
  template <class F, class First, class... Rest>
  requires internal::TakesToo<F, T&, First, Rest...>
  auto with(WithOptions options, F f, First&& one, Rest&&... rest) const {
    auto bound = internal::bind_arguments<T>(std::move(f), std::forward<First>(one),
                                             std::forward<Rest>(rest)...);
    return with(options, std::move(bound));
  }
  template <class F>
  requires std::is_invocable_v<F&, T&>
  auto with(F f) const { return with(first().settings().with, std::move(f)); }
  template <class F>
  requires std::is_invocable_v<F&, T&>
  auto with(WithOptions options, F f) const {
    return internal::use_value<T>(owner_->members, std::move(f), first().begin(options));
  }

  // Declares that connection broken: for an f that found out, with the T& that it was given.
  void invalidate(const T& value) const {
    for (const auto& core : owner_->members->cores) core->invalidate(std::addressof(value));
  }

  // Forgets permanent errors, counts of failures and pauses.
  void reset() const {
    for (const auto& core : owner_->members->cores) core->reset();
  }

  // For all handles and for good: waiting callers get `closed`, attempts are cancelled, and
  // connections are dropped when their f has returned. Idempotent.
  void close() const { owner_->members->close(); }
  // close(), then waits for builders and probes that still run.
  Task<void> join() const { return join_all(owner_->members); }

  PoolStatistics statistics() const {
    const internal::Members& members = *owner_->members;
    if (first().fork.is_foreign()) return {};
    PoolStatistics sum{.connections = members.cores.size(),
                       .in_use = members.turns->in_use(),
                       .waiting = members.turns->waiting()};
    for (const auto& core : members.cores) {
      const auto one = core->statistics();
      sum.intact += one.intact ? 1 : 0;
      sum.calls += one.calls;
      sum.attempts += one.attempts;
      sum.failed += one.failed;
      sum.breaks += one.breaks;
    }
    return sum;
  }

 private:
  struct Owner {
    explicit Owner(std::shared_ptr<const internal::Members> owned) : members(std::move(owned)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { members->close(); }
    const std::shared_ptr<const internal::Members> members;
  };

  explicit Pool(std::shared_ptr<const internal::Members> members)
      : owner_(std::make_shared<Owner>(std::move(members))) {}

  static Task<void> join_all(std::shared_ptr<const internal::Members> members) {
    members->close();
    for (const auto& core : members->cores) co_await internal::DurableCore::join(core);
  }
  internal::DurableCore& first() const { return *owner_->members->cores.front(); }

  std::shared_ptr<Owner> owner_;
};

}  // namespace semper
