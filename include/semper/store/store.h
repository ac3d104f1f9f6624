// Store: a handle on an open transactional store.
//
// What for: running transactions on whichever backend the URL names. When not: on several machines
// with a backend that serves only one (see docs/backends.md).
//
//   SEMPER_CO_TRY(auto store, co_await semper::open_store("sqlite:./data.db"));
//   auto read = [](semper::Transaction& tx, const std::string& key) -> semper::Async<bool> {
//     SEMPER_CO_TRY(const auto value, co_await tx.get(key));
//     co_return value.has_value();
//   };
//   SEMPER_CO_TRY(const bool there, co_await store.transact(read, key));
//   SEMPER_CO_TRY_STATUS(co_await store.close());
//
// A Store is a cheap handle; copies share one backend, which closes when the last copy is destroyed
// (close() does it cleanly and reports errors). Threads: any.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "semper/base/internal/bound_arguments.h"
#include "semper/env/cancellation.h"
#include "semper/store/internal/attachments.h"
#include "semper/store/internal/retry_policy.h"
#include "semper/store/transact_options.h"
#include "semper/store/transaction.h"

namespace semper {

class Store {
 public:
  Store(std::shared_ptr<Backend> backend, Env env);

  const Limits& limits() const { return shared_->backend->limits(); }
  std::string url() const { return shared_->backend->url(); }
  Env env() const { return shared_->env; }

  Transaction begin(TransactionOptions options = {}) const;

  // Runs `fn(Transaction&) -> Async<R>` and commits. On `conflict`, and if the snapshot became too
  // old (is_too_old: this process or its disk was stalled), runs it again from the start, so fn
  // must have no effect apart from the transaction. On any other error of fn, nothing is applied
  // and the error is returned. An exception from fn passes through, and nothing is applied.
  //
  // If the calling coroutine is cancelled: `cancelled` if the commit had not begun, with nothing
  // applied; otherwise `outcome_unknown`. In this case fn's waits return errors instead of
  // throwing.
  template <class F>
  auto transact(F fn, TransactOptions options = {}) const
      -> std::invoke_result_t<F&, Transaction&> {
    return run_through(attempts(shared_, std::move(fn), options));
  }

  // The same, but fn also gets the arguments as const&; copies of them are kept with fn:
  // fn(Transaction&, const A&...). This form is safe inside a co_await with every compiler:
  //
  //   auto count = [](semper::Transaction& tx, const std::string& key) -> semper::Async<void> {
  //     tx.add(key, 1);
  //     co_return semper::Status{};
  //   };
  //   SEMPER_CO_TRY_STATUS(co_await store.transact(count, key));
  //
  // g++ 12 destroys a lambda twice if it captures by value there (docs/testing.md). Captures by
  // reference are harmless, and so is a lambda that was named before.
  template <class F, class First, class... Rest>
  requires internal::TakesToo<F, Transaction&, First, Rest...>
  auto transact(F fn, First&& first, Rest&&... rest) const {
    return transact(TransactOptions(), std::move(fn), std::forward<First>(first),
                    std::forward<Rest>(rest)...);
  }
  template <class F, class... Arguments>
  requires internal::TakesToo<F, Transaction&, Arguments...>
  auto transact(TransactOptions options, F fn, Arguments&&... arguments) const {
    auto bound =
        internal::bind_arguments<Transaction>(std::move(fn), std::forward<Arguments>(arguments)...);
    return transact(std::move(bound), options);
  }

  // Waits for work in progress. Later calls give `closed`.
  Async<void> close() const;

  Backend& backend() const { return *shared_->backend; }

  friend bool operator==(const Store& a, const Store& b) { return a.shared_ == b.shared_; }

 private:
  friend struct internal::StoreParts;
  struct Shared {
    std::shared_ptr<Backend> backend;
    Env env;
    internal::Attachments attachments;
  };

  template <class F>
  static auto attempts(std::shared_ptr<Shared> shared, F fn, TransactOptions options)
      -> std::invoke_result_t<F&, Transaction&> {
    using ResultType = typename std::invoke_result_t<F&, Transaction&>::value_type;
    internal::RetryPolicy policy(options, shared->env);
    while (true) {
      Transaction transaction(shared->backend, shared->env);
      ResultType result = co_await fn(transaction);
      SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
      Error error(ErrorKind::internal, "");
      if (result) {
        auto committed = co_await transaction.commit();
        if (committed) {
          if (options.committed_at != nullptr) *options.committed_at = *committed;
          co_return result;
        }
        error = committed.error();
      } else {
        error = result.error();
      }
      SEMPER_CO_TRY_STATUS(co_await policy.before_retry(error));
    }
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace semper
