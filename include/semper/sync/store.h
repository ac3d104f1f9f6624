// sync::Store: transactions without coroutines.
//
// What for: tests, tools and programs with threads. When not: thousands of concurrent transactions
// (semper/store/store.h: a waiting coroutine costs a few hundred bytes, a waiting thread a stack).
//
//   auto store = semper::sync::open_store("sqlite:./data.db").value();
//   const std::string key = "visits";
//   auto done = store.transact([&](semper::sync::Transaction& tx) -> semper::Result<std::string> {
//     SEMPER_TRY(const auto old, tx.get(key));
//     tx.add(key, 1);
//     return old.value_or("");
//   });
//
// Durability, errors and limits: as for Store and Transaction. The function runs on the calling
// thread, once for each attempt; only its reads and the commit go through semper::sync's thread. A
// Store is a cheap handle; copies share one backend. Threads and forks: see semper/sync/wait.h.
#pragma once

#include <type_traits>
#include <utility>

#include "semper/env/scheduler.h"
#include "semper/server/entity_id.h"
#include "semper/store/store.h"
#include "semper/sync/internal/attempts.h"
#include "semper/sync/transaction.h"
#include "semper/sync/wait.h"

namespace semper::sync {

class Store {
 public:
  explicit Store(semper::Store store) : store_(std::move(store)) {}

  // Runs `fn(sync::Transaction&)`, which returns a Result or a Status, and commits. On `conflict`
  // it runs fn again, so fn must have no effect apart from the transaction. If fn returns an error,
  // nothing is applied. If there is no answer within TransactOptions::timeout plus kAnswerTime:
  // `timeout` from reads, `outcome_unknown` from the commit.
  template <class F>
  std::invoke_result_t<F&, Transaction&> transact(F fn, TransactOptions options = {}) const {
    using ResultType = std::invoke_result_t<F&, Transaction&>;
    SEMPER_TRY_STATUS(check_may_block("semper::sync::Store::transact"));
    internal::Attempts attempts(store_, options);
    while (true) {
      Transaction transaction = attempts.begin();
      ResultType result = fn(transaction);
      Status ended;
      if (result) {
        ended = attempts.commit(transaction);
        if (ended) return result;
      } else {
        ended = fail(result.error());
      }
      SEMPER_TRY_STATUS(attempts.after(ended.error()));
    }
  }

  // As Store::close.
  Status close(Duration timeout = kForever) const;

  const Limits& limits() const { return store_.limits(); }
  std::string url() const { return store_.url(); }

  // The same store for coroutines, and for operations without a blocking form: see wait().
  const semper::Store& asynchronous() const { return store_; }
  operator Tenant() const { return store_; }  // NOLINT: a store is a tenant

 private:
  semper::Store store_;
};

}  // namespace semper::sync
