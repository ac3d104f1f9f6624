// Durable<T>: a value that is rebuilt when it breaks: a connection, a session, a lease.
//
// What for: code that uses a connection and need not know when it was lost. When not: state that
// must survive the process (server/host.h), and updates over a connection (stream.h).
//
//   semper::DurableOptions<Session> options;
//   options.access = semper::Access::exclusive;                          // one f at a time
//   auto session = semper::Durable<Session>::create(
//       [&]() -> semper::Async<Session> { return connect(address); },    // to_create
//       [](const Session& s) { return s.has_failed(); },                 // is_broken
//       options);
//   auto rows = co_await session.with([&](Session& s) { return s.query(text); });
//
// Ready-made: tcp.h, rpc/channel.h. Several values of one kind: pool.h.
//
// with(f): if the value is intact, runs f. If there is no value, calls to_create. If it is broken,
// calls to_rebuild if there is one, otherwise to_create. Then it calls is_broken again immediately
// before f. Each `with` causes at most one attempt, unless it asked to wait (WithOptions); callers
// that arrive during an attempt share it and its outcome. A failed rebuild drops the value: the
// next `with` creates a new one, after a pause (RetryOptions).
//
// Errors of with, in addition to those of f, which pass through unchanged, as its exceptions do
// (except a std::system_error, which becomes an Error):
//   the builder's own error    the attempt failed; call again if its kind says so
//   internal                   to_create, to_rebuild or is_broken threw; nothing is left of it
//   retry                      too many callers already wait (max_waiters); or the value was broken
//                              right after its build; or there is a pause, and the call asked to
//                              fail then (WhenDown::fail): the message says how long it lasts; or
//                              several attempts passed their deadline and their builders still run
//   timeout                    the attempt passed its deadline, or the call its own before f began
//   closed                     close() was called, or the executor of the attempt is gone, or was
//                              stopped while callers on other loops waited
//   cancelled                  this caller was cancelled while it waited; the attempt continues
//   exhausted                  attempt_limit is reached: see reset()
//   unsupported                it was made before the process forked
// With all of these, f did not run. With this one it did:
//   outcome_unknown            the call passed its deadline while f ran; f has ended
//
// If the process dies, nothing is left: a Durable keeps nothing on disk. A forked child cannot use
// its parent's: a connection has one user. Its destructors, close() and join() return there at once
// and dispose of nothing.
//
// Threads: everything from any thread. With shared access, is_broken runs on the callers' threads,
// possibly on several at once, and while other callers' f use the value. With exclusive access,
// nothing else runs during an f. to_create and to_rebuild run on a strand over the executor of the
// `with` that began the attempt (or Options::executor), one attempt at a time, unless an abandoned
// one (deadline, close) ignores its cancellation. f runs where its caller runs. Every function may
// destroy the last handle. A builder that blocks its thread blocks everything that runs there:
// write it with run_blocking (env/blocking.h), or give it an executor with its own threads.
//
// Ownership: a Durable is a handle; copies share the value. Destroying the last handle is a
// close(). A value lives until it has been replaced or closed and the last f on it has returned;
// then `dispose` runs. Idea: async_durable (Jane Street).
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "semper/base/internal/bound_arguments.h"
#include "semper/durable/internal/durable_value.h"

namespace semper {

template <class T>
class Durable {
 public:
  using Options = DurableOptions<T>;
  using Create = std::function<Async<T>()>;
  using IsBroken = std::function<bool(const T&)>;
  // Gets the broken value, on which functions of earlier `with`s may still run, and returns the
  // repaired one: a copy of the handle, or a value moved out of it if nobody else can hold it.
  using Rebuild = std::function<Async<T>(T&)>;

  // Builds nothing yet (unless Options::repair_every says so).
  static Durable create(Create to_create, IsBroken is_broken, Options options = Options()) {
    return Durable(std::move(to_create), std::move(is_broken), nullptr, std::move(options));
  }
  static Durable create(Create to_create, IsBroken is_broken, Rebuild to_rebuild,
                        Options options = Options()) {
    return Durable(std::move(to_create), std::move(is_broken), std::move(to_rebuild),
                   std::move(options));
  }

  // Builds at once. The error is that of the attempt, or `retry` if the value is already broken.
  static Async<Durable> create_or_fail(Create to_create, IsBroken is_broken,
                                       Options options = Options()) {
    return create_or_fail(std::move(to_create), std::move(is_broken), Rebuild(),
                          std::move(options));
  }
  static Async<Durable> create_or_fail(Create to_create, IsBroken is_broken, Rebuild to_rebuild,
                                       Options options = Options()) {
    Durable made(std::move(to_create), std::move(is_broken), std::move(to_rebuild),
                 std::move(options));
    const WithOptions once;
    SEMPER_CO_TRY_STATUS(co_await made.with(once, [](T&) {}));
    co_return made;
  }

  // See above. `f` takes T& and returns a Task<R>, an Async<R> or a plain R; `with` returns
  // Async<R>. Both `f` and the value are kept until `f` has ended.
  //
  // With g++ 12, name a lambda that captures by value first: `auto f = [s](T&) {...}; co_await
  // durable.with(f);`. Inside the co_await, its captures are destroyed twice (a bug of that
  // compiler, docs/testing.md). Captures by reference are harmless, because the caller's coroutine
  // outlives f. The same holds for the arguments of create_or_fail.
  //
  // Or use no captures: pass what f needs as arguments, and f gets T& and a const& to a copy of
  // each. This is safe with every compiler.
  //
  //   auto query = [](Session& s, const std::string& text) { return s.query(text); };
  //   auto rows = co_await session.with(query, text);
  template <class F, class First, class... Rest>
  requires internal::TakesToo<F, T&, First, Rest...>
  auto with(F f, First&& first, Rest&&... rest) const {
    return with(core().settings().with, std::move(f), std::forward<First>(first),
                std::forward<Rest>(rest)...);
  }
  template <class F, class First, class... Rest>
  requires internal::TakesToo<F, T&, First, Rest...>
  auto with(WithOptions options, F f, First&& first, Rest&&... rest) const {
    auto bound = internal::bind_arguments<T>(std::move(f), std::forward<First>(first),
                                             std::forward<Rest>(rest)...);
    return with(options, std::move(bound));
  }
  template <class F>
  requires std::is_invocable_v<F&, T&>
  auto with(F f) const { return with(core().settings().with, std::move(f)); }
  template <class F>
  requires std::is_invocable_v<F&, T&>
  auto with(WithOptions options, F f) const {
    return internal::use_value<T>(owner_->members, std::move(f), core().begin(options));
  }

  // Whether there is an intact value: first the last published answer, then each change when it is
  // noticed by a `with`, a check() or eager repair.
  const Bus<bool>& is_intact() const { return core().is_intact(); }

  // Calls is_broken now, for example on an event of the value itself, and publishes the result.
  // True: intact. Builds nothing. Error: internal (is_broken threw).
  Result<bool> check() const { return core().check(); }

  // Declares the value broken, whatever is_broken says: the next `with` rebuilds it. For an f that
  // found out, with the T& that it was given: if another value has already taken its place, nothing
  // happens.
  //   auto f = [&](Session& s) -> Async<Rows> {
  //     auto rows = co_await s.query(text);
  //     if (!rows) session.invalidate(s);
  //     co_return rows;
  //   };
  void invalidate(const T& value) const { core().invalidate(std::addressof(value)); }
  // The current value, whichever it is: for events that concern any value (a new address). An
  // attempt in progress may have begun before the event, so what it builds is broken, too, and its
  // callers get `retry`. If it is called after an f has failed, it may hit the healthy successor of
  // the value that f used.
  void invalidate() const { core().invalidate(nullptr); }

  // Forgets a permanent error, the count of failures and the pause after them.
  void reset() const { core().reset(); }

  // For all handles and for good, at once: waiters get `closed`, an attempt in progress is
  // cancelled, and the value is dropped. Running functions continue to their end. Idempotent.
  void close() const { owner_->members->close(); }

  // close(), then waits for the builders and probes that still run; they end when they notice. Do
  // not call it from inside one of them.
  Task<void> join() const { return Core::join(owner_->members->cores.front()); }

  DurableStatistics statistics() const { return core().statistics(); }

 private:
  using Core = internal::DurableCore;
  struct Owner {
    explicit Owner(std::shared_ptr<const internal::Members> owned) : members(std::move(owned)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { members->close(); }
    const std::shared_ptr<const internal::Members> members;
  };

  Durable(Create to_create, IsBroken is_broken, Rebuild to_rebuild, Options options) {
    auto members = std::make_shared<internal::Members>();
    if (options.access == Access::exclusive) {
      members->turns = std::make_shared<internal::Turns>(options.name, 1, options.max_waiters);
    }
    members->cores.push_back(internal::make_core<T>(std::move(to_create), std::move(is_broken),
                                                    std::move(to_rebuild), std::move(options),
                                                    members->turns, 0));
    owner_ = std::make_shared<Owner>(std::move(members));
    core().start_repair();
  }
  Core& core() const { return *owner_->members->cores.front(); }

  std::shared_ptr<Owner> owner_;
};

}  // namespace semper
