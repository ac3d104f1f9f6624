// Future: one of FoundationDB's futures, awaited by a coroutine.
//
//   Future future(client, api.transaction_get(...));
//   SEMPER_CO_TRY(const FdbError code, co_await future.ready());   // 0, or what went wrong
//   if (code == 0) value = future.value();
//
// The callback, on the network's thread, does nothing but wake the waiter, who then goes on by its
// own executor and takes the result out there.
//
// Who frees what: the library's future and whatever `keep_alive` holds (a transaction must not go
// before its futures) are freed once, when both this object is gone and the callback has run.
// Destroying a Future that is not ready, as a cancelled coroutine does, cancels the operation; the
// callback then comes with operation_cancelled. Where the network has been stopped, callbacks never
// come, and what waits for them is left to the end of the process.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "client.h"
#include "semper/env/one_shot.h"
#include "semper/store/backend.h"

namespace semper::foundationdb {

class Future {
 public:
  // Takes over `raw`.
  Future(std::shared_ptr<Client> client, FdbFuture* raw,
         std::shared_ptr<const void> keep_alive = nullptr);
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) = delete;
  ~Future();

  // FoundationDB's code for the operation, 0 for success; may be asked again. Error: cancelled (the
  // waiting coroutine).
  Async<FdbError> ready();

  // Makes it ready with operation_cancelled, unless it is ready; from any thread, also later than
  // this object is gone.
  class Canceller;
  Canceller canceller() const;

  // The result, after ready() gave 0. Each for futures of its type.
  std::int64_t number() const;
  Bytes key() const;
  std::optional<Bytes> value() const;
  // Rows with their keys in the cluster.
  RangePage rows() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

class Future::Canceller {
 public:
  Canceller() = default;
  void operator()() const;

 private:
  friend class Future;
  explicit Canceller(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace semper::foundationdb
