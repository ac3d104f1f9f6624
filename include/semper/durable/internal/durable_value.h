// The typed half of a durable value: its box, its hooks, and one f on it.
//
// What for: durable.h and pool.h. When not: never used directly.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "semper/durable/internal/durable_core.h"
#include "semper/durable/internal/hooks.h"
#include "semper/durable/internal/lease.h"

namespace semper::internal {

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

template <class T>
struct Builders {
  using Create = std::function<Async<T>()>;
  using IsBroken = std::function<bool(const T&)>;
  using Rebuild = std::function<Async<T>(T&)>;
  using Probe = std::function<Async<void>(T&)>;
  using Dispose = std::shared_ptr<const typename Held<T>::Dispose>;

  static HeldPointer hold(T value, Dispose dispose) {
    return HeldPointer(new Held<T>(std::move(value), std::move(dispose)), LeftToTheParent());
  }
  static Async<HeldPointer> create(const Create& make, Dispose dispose) {
    SEMPER_CO_TRY(T value, co_await make());
    co_return hold(std::move(value), std::move(dispose));
  }
  static Async<HeldPointer> rebuild(const Rebuild& make, Dispose dispose, HeldPointer broken) {
    auto& held = static_cast<Held<T>&>(*broken);
    SEMPER_CO_TRY(T value, co_await make(held.value));
    held.taken_over = true;
    co_return hold(std::move(value), std::move(dispose));
  }
  static Async<void> probe(const Probe& ask, HeldPointer held) {
    co_return co_await ask(static_cast<Held<T>&>(*held).value);
  }
};

template <class T>
DurableHooks hooks_of(typename Builders<T>::Create to_create,
                      typename Builders<T>::IsBroken is_broken,
                      typename Builders<T>::Rebuild to_rebuild, DurableOptions<T>& options) {
  auto dispose =
      std::make_shared<const typename Held<T>::Dispose>(std::exchange(options.dispose, nullptr));
  DurableHooks hooks;
  hooks.create = [make = std::move(to_create), dispose] {
    return Builders<T>::create(make, dispose);
  };
  hooks.is_broken = [ask = std::move(is_broken)](HeldBase& held) {
    return ask(static_cast<Held<T>&>(held).value);
  };
  if (to_rebuild) {
    hooks.rebuild = [make = std::move(to_rebuild), dispose](HeldPointer broken) {
      return Builders<T>::rebuild(make, dispose, std::move(broken));
    };
  }
  if (options.probe) {
    hooks.probe = [ask = std::move(options.probe)](HeldPointer held) {
      return Builders<T>::probe(ask, std::move(held));
    };
  }
  return hooks;
}

// `turns`: null for shared access; otherwise the value is that of `place`, one of several where
// there is a `pool_name`.
template <class T>
std::shared_ptr<DurableCore> make_core(typename Builders<T>::Create to_create,
                                       typename Builders<T>::IsBroken is_broken,
                                       typename Builders<T>::Rebuild to_rebuild,
                                       DurableOptions<T> options, std::shared_ptr<Turns> turns,
                                       std::size_t place, std::string pool_name = std::string()) {
  auto hooks =
      hooks_of<T>(std::move(to_create), std::move(is_broken), std::move(to_rebuild), options);
  if (pool_name.empty()) pool_name = options.name;
  DurableSettings settings{
      .name = std::move(options.name),
      .metrics_name = std::move(pool_name),
      .env = options.env,
      .executor = std::move(options.executor),
      .attempt_deadline = options.attempt_deadline,
      .retry = options.retry,
      .attempt_limit = options.attempt_limit,
      .is_permanent = std::move(options.is_permanent),
      .breaks_on = std::move(options.breaks_on),
      .with = options.with,
      .max_lifetime = options.max_lifetime,
      .probe_after_idle = options.probe_after_idle,
      .repair_every = options.repair_every,
      .overlap = options.overlap,
      .max_waiters = options.max_waiters,
      .metrics = options.metrics,
      .turns = std::move(turns),
      .place = place,
  };
  return std::shared_ptr<DurableCore>(new DurableCore(std::move(hooks), std::move(settings)),
                                      LeftToTheParent());
}

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

template <class T, class F>
using WithResult =
    typename AsResult<typename WithReturns<std::invoke_result_t<F&, T&>>::Given>::Type;

// f as a coroutine that gives the result of its `with`.
template <class R, class T, class F>
asio::awaitable<R> call_f(F& f, T& value) {
  using Given = typename WithReturns<std::invoke_result_t<F&, T&>>::Given;
  if constexpr (std::is_void_v<Given>) {
    co_await f(value);
    co_return R();
  } else {
    co_return co_await f(value);
  }
}

template <class T, class F>
asio::awaitable<WithResult<T, F>> use_value(std::shared_ptr<const Members> members, F f,
                                            Call call) {
  using Returns = WithReturns<std::invoke_result_t<F&, T&>>;
  using R = WithResult<T, F>;
  Use use(std::move(members));
  SEMPER_CO_TRY(const bool taken, use.take_at_once());
  if (!taken) SEMPER_CO_TRY_STATUS(co_await Use::take(use, call));
  T& value = static_cast<Held<T>&>(use.held()).value;
  std::optional<R> result;
  auto thrown = DurableCore::Thrown::no;
  bool passed = false;
  try {
    if constexpr (!Returns::kAsync) {
      if constexpr (std::is_void_v<typename Returns::Given>) {
        f(value);
        result.emplace();
      } else {
        result.emplace(f(value));
      }
    } else if (call.deadline != kNever) {
      std::exception_ptr exception;
      auto work = keep_outcome(call_f<R>(f, value), result, exception);
      passed = co_await run_until(use.clock(), call.deadline, std::move(work));
      if (exception) std::rethrow_exception(exception);
    } else if constexpr (std::is_void_v<typename Returns::Given>) {
      co_await f(value);
      result.emplace();
    } else {
      result.emplace(co_await f(value));
    }
  } catch (const std::system_error& caught) {
    thrown = DurableCore::Thrown::yes;
    result.emplace(fail(use.error_of(caught)));
  }
  if (*result) {
    use.succeeded();
    co_return std::move(*result);
  }
  if (passed) co_return fail(use.passed_deadline(result->error()));
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  use.failed(result->error(), thrown, cancellation.cancelled() != asio::cancellation_type::none);
  co_return std::move(*result);
}

}  // namespace semper::internal
