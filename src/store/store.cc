#include "semper/store/store.h"

namespace semper {
namespace internal {

RetryPolicy::RetryPolicy(const TransactOptions& options, Env env)
    : options_(options),
      env_(env),
      deadline_(env.clock->after(options.timeout)),
      backoff_(options.backoff, *env.random) {}

Async<void> RetryPolicy::before_retry(const Error& error) {
  if (error.kind() != ErrorKind::conflict) co_return fail(error);
  if (attempts_ >= options_.max_attempts) {
    co_return fail(ErrorKind::conflict,
                   "gave up after " + std::to_string(attempts_) +
                       " attempts, other transactions were always faster: " + error.message());
  }
  // The first retry is immediate: most conflicts are gone by then.
  if (attempts_++ > 1) SEMPER_CO_TRY_STATUS(co_await sleep_for(*env_.clock, backoff_.next()));
  if (env_.clock->now() >= deadline_) {
    co_return fail(ErrorKind::timeout, "the transaction was still in conflict with others after " +
                                           std::to_string(attempts_ - 1) +
                                           " attempts when its time was over: " + error.message());
  }
  co_return Status{};
}

}  // namespace internal

Store::Store(std::shared_ptr<Backend> backend, Env env) : shared_(std::make_shared<Shared>()) {
  shared_->backend = std::move(backend);
  shared_->env = env;
}

Transaction Store::begin(TransactionOptions options) const {
  return Transaction(shared_->backend, shared_->env, options);
}

Async<void> Store::close() const {
  auto keep_alive = shared_;
  co_return co_await keep_alive->backend->close();
}

}  // namespace semper
