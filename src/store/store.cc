#include "semper/store/store.h"

#include "semper/base/internal/mutant.h"
#include "semper/store/too_old.h"

namespace semper {
namespace internal {
namespace {

std::string in_words(int attempts) {
  return std::to_string(attempts) + (attempts == 1 ? " attempt" : " attempts");
}

Error always_beaten(const Error& error, int attempts) {
  return Error(ErrorKind::conflict,
               "gave up after " + in_words(attempts) +
                   ", other transactions were always faster: " + error.message());
}

Error still_in_conflict(const Error& error, int attempts) {
  return Error(ErrorKind::timeout, "the transaction was still in conflict with others after " +
                                       in_words(attempts) +
                                       " when its time was over: " + error.message());
}

// A process that was stopped for long meets this once; a function that always takes so long, each
// time.
Error took_too_long(const Error& error, int attempts) {
  return Error(ErrorKind::timeout, *error.limit(),
               "gave up after " + in_words(attempts) +
                   ", the last of which took longer than the store keeps what it reads; do less in "
                   "one transaction, and what takes long before it: " +
                   error.message());
}

}  // namespace

RetryPolicy::RetryPolicy(const TransactOptions& options, Env env)
    : options_(options),
      env_(env),
      deadline_(env.clock->after(options.timeout)),
      backoff_(options.backoff, *env.random) {}

Async<void> RetryPolicy::before_retry(const Error& error) {
  const bool was_too_old = is_too_old(error);
  if (error.kind() != ErrorKind::conflict && !was_too_old) co_return fail(error);
  if (attempts_ >= options_.max_attempts) {
    co_return fail(was_too_old ? took_too_long(error, attempts_) : always_beaten(error, attempts_));
  }
  // The first retry is immediate: most conflicts are gone by then. One that took so long needs no
  // pause.
  const bool is_first = attempts_ == 1;
  const bool pauses = attempts_++ > 1 && !was_too_old;
  if (pauses) SEMPER_CO_TRY_STATUS(co_await sleep_for(*env_.clock, backoff_.next()));
  // A process that was stopped has not used its time: however long that was, it tries again.
  const bool was_stopped =
      was_too_old && is_first && !SEMPER_MUTANT("store_stopped_process_has_no_time_left");
  if (env_.clock->now() >= deadline_ && !was_stopped) {
    const int made = attempts_ - 1;
    co_return fail(was_too_old ? took_too_long(error, made) : still_in_conflict(error, made));
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
