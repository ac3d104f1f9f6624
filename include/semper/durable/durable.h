// Durable<T>: a value that breaks and is built again: a connection, a session, a lease.
//
// What for: code that uses a connection and does not want to know when it was lost. When not: state
// that must survive the process (server/host.h); updates over a connection (stream.h).
//
//   auto session = semper::Durable<Session>::create(
//       [&]() -> semper::Async<Session> { return connect(address); },     // to_create
//       [](const Session& s) { return !s.is_open(); });                   // is_broken
//   auto rows = co_await session.with([&](Session& s) { return s.query(text); });
//
// with(f): intact -> f. No value -> to_create. Broken -> to_rebuild, where there is one, otherwise
// to_create. Then is_broken is asked again immediately before f. Each `with` sees at most one
// attempt; callers that come while one runs share it and its outcome. A failed rebuild drops the
// value: the next `with` creates.
//
// Errors of with, besides those of f, which pass through unchanged as its exceptions do:
//   the builder's own error    the attempt failed; call again when that kind says so
//   internal                   to_create, to_rebuild or is_broken threw; nothing is left of it
//   retry                      the value was broken right after its build, or (RetryOptions) the
//                              pause after a failure is not over: the message says until when; or
//                              several attempts passed their deadline and their builders still run
//   timeout                    the attempt passed its deadline; a value that comes later is dropped
//   closed                     close() was called, or the executor of the attempt is gone
//   cancelled                  this caller was cancelled while it waited; the attempt goes on
//   exhausted                  too many callers wait, or attempt_limit is reached: see reset()
// None of them means that f ran: with returns them before it.
//
// If the process dies, nothing is left: a Durable keeps nothing on disk.
//
// Threads: everything from any thread. is_broken runs on the callers' threads and may run on
// several at once; to_create and to_rebuild run on a strand over the executor of the `with` that
// began the attempt (or Options::executor), one attempt at a time, unless an abandoned one
// (deadline, close) ignores its cancellation. f runs where its caller runs, and several f may use
// the value at once. Every function may destroy the last handle. A builder that blocks its thread
// blocks all that runs there: write it with run_blocking (env/blocking.h), or give it an executor
// with threads of its own.
//
// Ownership: a Durable is a handle; copies share the value. The last handle's end is a close(). A
// value lives until it was replaced or closed and the last f on it returned; then `dispose` runs.
// Idea: async_durable (Jane Street).
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "semper/durable/durable_core.h"
#include "semper/durable/hooks.h"

namespace semper {

template <class T>
struct DurableOptions {
  // Stands in messages and as the label `name` of metrics.
  std::string name = "durable value";
  Env env = Env();
  // Where attempts run. Default: the executor of the `with` that begins one. Set it where that may
  // go away before others who wait.
  Executor executor = Executor();
  // How long one attempt may take; then it is cancelled and its callers get `timeout`, also while
  // the builder blocks its thread. Default: for ever, as long as the builder likes.
  Duration attempt_deadline = kForever;
  // Pauses after failures, in which `with` fails at once instead of attempting. Default: none, each
  // `with` on a broken value is an attempt.
  std::optional<RetryOptions> retry = std::nullopt;
  // Failures in a row after which nothing is attempted until reset(). Default 0: no limit.
  std::uint32_t attempt_limit = 0;
  // Errors after which nothing is attempted until reset(); see is_permanent_error. Default: none. If
  // it throws, that is logged, and the error is not permanent.
  std::function<bool(const Error&)> is_permanent = nullptr;
  // Whether a new value may be built beside an old one that is in use. Default: it may.
  Overlap overlap = Overlap::allowed;
  // Eager repair: build at once, look again this often, and build again what is broken without
  // waiting for a `with`. Needs `executor`. Default: none, all is lazy.
  std::optional<Duration> repair_every = std::nullopt;
  // With eager repair: asked each time about a value that is_broken calls intact; an error means
  // that it is broken after all. Bounded by attempt_deadline.
  std::function<Async<void>(T&)> probe = nullptr;
  // Called once for each value that was replaced, dropped or closed, when nobody uses it any more,
  // on the thread of the last user. Not for a value that a to_rebuild took over with success. What
  // it throws is logged.
  std::function<void(T&)> dispose = nullptr;
  // Callers that wait for one attempt, at most; more get `exhausted`.
  std::size_t max_waiters = 100'000;
  // Counts attempts, and intact values of that name. Must outlive the last handle.
  metrics::Registry* metrics = nullptr;
};

namespace internal {

template <class T>
struct Held final : HeldBase {
  using Dispose = std::function<void(T&)>;
  Held(T given, std::shared_ptr<const Dispose> hook)
      : HeldBase(std::addressof(value)), value(std::move(given)), dispose(std::move(hook)) {}
  ~Held() override {
    try {
      if (*dispose && !taken_over) (*dispose)(value);
    } catch (...) {
      log_thrown("dispose of a durable value");
    }
  }

  T value;
  std::shared_ptr<const Dispose> dispose;
  bool taken_over = false;  // by what to_rebuild made of it
};

// What with(f) returns: Result<U> for an f that gives Result<U>, or U; asynchronous or not.
template <class R>
struct WithReturns {
  using Given = R;
  static constexpr bool kAsync = false;
};
template <class R>
struct WithReturns<asio::awaitable<R>> {
  using Given = R;
  static constexpr bool kAsync = true;
};
template <class R>
struct AsResult {
  using Type = Result<R>;
};
template <class U>
struct AsResult<Result<U>> {
  using Type = Result<U>;
};

}  // namespace internal

template <class T>
class Durable {
 public:
  using Options = DurableOptions<T>;
  using Create = std::function<Async<T>()>;
  using IsBroken = std::function<bool(const T&)>;
  // Gets the broken value, on which functions of earlier `with`s may still run, and returns the
  // fixed one: a copy of the handle, or what it moved out if nobody else can hold it.
  using Rebuild = std::function<Async<T>(T&)>;

  // Builds nothing yet (unless Options::repair_every says so).
  static Durable create(Create to_create, IsBroken is_broken, Rebuild to_rebuild = nullptr,
                        Options options = Options()) {
    return Durable(std::move(to_create), std::move(is_broken), std::move(to_rebuild),
                   std::move(options));
  }

  // Builds at once; the error is that of the attempt, or `retry` for a value that is broken
  // already.
  static Async<Durable> create_or_fail(Create to_create, IsBroken is_broken,
                                       Rebuild to_rebuild = nullptr, Options options = Options()) {
    Durable made(std::move(to_create), std::move(is_broken), std::move(to_rebuild),
                 std::move(options));
    SEMPER_CO_TRY_STATUS(co_await made.with([](T&) {}));
    co_return made;
  }

  // See above. `f` takes T& and returns a Task<R>, an Async<R>, or a plain R; `with` returns
  // Async<R>. `f` is kept until it has ended; the value too.
  //
  // With g++ 12, a lambda with captures by value is given a name first: `auto f = [s](T&) {...};
  // co_await durable.with(f);`. Written inside the co_await, what it captured is destroyed twice (a
  // fault of that compiler, docs/testing.md). Captures by reference are harmless, and the caller's
  // coroutine outlives f anyway. The same holds for the arguments of create_or_fail.
  template <class F>
  requires std::is_invocable_v<F&, T&>
  auto with(F f) const {
    using Returns = internal::WithReturns<std::invoke_result_t<F&, T&>>;
    using R = typename internal::AsResult<typename Returns::Given>::Type;
    return run_with<R, Returns::kAsync>(owner_->core, std::move(f));
  }

  // Whether there is a value that is not broken: the last one published first, then each change, as
  // it is noticed: by a `with`, a check(), eager repair.
  const Bus<bool>& is_intact() const { return owner_->core->is_intact(); }

  // Asks is_broken now, e.g. on an event of the value's own, and publishes. True: intact. Builds
  // nothing. Error: internal (is_broken threw).
  Result<bool> check() const { return owner_->core->check(); }

  // Takes the value for broken, whatever is_broken says: the next `with` builds again. For an f that
  // found out, with the very T& that it was given: if another value has taken its place already,
  // nothing happens.
  //   auto f = [&](Session& s) -> Async<Rows> {
  //     auto rows = co_await s.query(text);
  //     if (!rows) session.invalidate(s);
  //     co_return rows;
  //   };
  void invalidate(const T& value) const { owner_->core->invalidate(std::addressof(value)); }
  // The present value, whichever it is: for events that are about any value (a new address). Called
  // after an f that failed, it may hit the healthy successor of the value that f used.
  void invalidate() const { owner_->core->invalidate(nullptr); }

  // Forgets a permanent error, the count of failures and the pause after them.
  void reset() const { owner_->core->reset(); }

  // For all handles and for good, at once: waiters get `closed`, an attempt under way is cancelled,
  // the value is dropped. Functions that run go on to their end. Idempotent.
  void close() const { owner_->core->close(); }

  // close(), then waits for the builders and probes that still run, which end when they notice. Not
  // from inside one of them.
  Task<void> join() const { return Core::join(owner_->core); }

  DurableStatistics statistics() const { return owner_->core->statistics(); }

 private:
  using Held = internal::Held<T>;
  using Core = internal::DurableCore;
  struct Owner {
    explicit Owner(std::shared_ptr<Core> owned) : core(std::move(owned)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { core->close(); }
    std::shared_ptr<Core> core;
  };

  Durable(Create to_create, IsBroken is_broken, Rebuild to_rebuild, Options options) {
    auto dispose =
        std::make_shared<const typename Held::Dispose>(std::exchange(options.dispose, nullptr));
    internal::DurableHooks hooks;
    hooks.create = [make = std::move(to_create), dispose] { return create_held(make, dispose); };
    hooks.is_broken = [ask = std::move(is_broken)](internal::HeldBase& held) {
      return ask(static_cast<Held&>(held).value);
    };
    if (to_rebuild) {
      hooks.rebuild = [make = std::move(to_rebuild), dispose](internal::HeldPointer broken) {
        return rebuild_held(make, dispose, std::move(broken));
      };
    }
    if (options.probe) {
      hooks.probe = [ask = std::move(options.probe)](internal::HeldPointer held) {
        return probe_held(ask, std::move(held));
      };
    }
    internal::DurableSettings settings{
        .name = std::move(options.name),
        .env = options.env,
        .executor = std::move(options.executor),
        .attempt_deadline = options.attempt_deadline,
        .retry = options.retry,
        .attempt_limit = options.attempt_limit,
        .is_permanent = std::move(options.is_permanent),
        .repair_every = options.repair_every,
        .overlap = options.overlap,
        .max_waiters = options.max_waiters,
        .metrics = options.metrics,
    };
    owner_ = std::make_shared<Owner>(std::make_shared<Core>(std::move(hooks), std::move(settings)));
    owner_->core->start_repair();
  }

  static Async<internal::HeldPointer> create_held(
      const Create& make, std::shared_ptr<const typename Held::Dispose> dispose) {
    SEMPER_CO_TRY(T value, co_await make());
    co_return std::make_shared<Held>(std::move(value), std::move(dispose));
  }

  static Async<internal::HeldPointer> rebuild_held(
      const Rebuild& make, std::shared_ptr<const typename Held::Dispose> dispose,
      internal::HeldPointer broken) {
    auto& held = static_cast<Held&>(*broken);
    SEMPER_CO_TRY(T value, co_await make(held.value));
    held.taken_over = true;
    co_return std::make_shared<Held>(std::move(value), std::move(dispose));
  }

  static Async<void> probe_held(const std::function<Async<void>(T&)>& ask,
                                internal::HeldPointer held) {
    co_return co_await ask(static_cast<Held&>(*held).value);
  }

  template <class R, bool kAsync, class F>
  static asio::awaitable<R> run_with(std::shared_ptr<Core> core, F f) {
    internal::HeldPointer held = core->current();
    bool usable = false;
    if (held) {
      SEMPER_CO_TRY(const bool broken, core->is_broken(*held));
      usable = !broken;
      if (usable && !held->announced_intact.load(std::memory_order_relaxed)) {
        core->announce_intact(held);
      }
    }
    if (!usable) {
      SEMPER_CO_TRY(held, co_await core->heal(std::move(held)));
      SEMPER_CO_TRY(const bool broken, core->is_broken(*held));
      if (broken) co_return fail(core->broken_after_build());
    }
    T& value = static_cast<Held&>(*held).value;
    if constexpr (kAsync) {
      using Given = typename internal::WithReturns<std::invoke_result_t<F&, T&>>::Given;
      if constexpr (std::is_void_v<Given>) {
        co_await f(value);
        co_return R();
      } else {
        co_return co_await f(value);
      }
    } else if constexpr (std::is_void_v<std::invoke_result_t<F&, T&>>) {
      f(value);
      co_return R();
    } else {
      co_return f(value);
    }
  }

  std::shared_ptr<Owner> owner_;
};

}  // namespace semper
