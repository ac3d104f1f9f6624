// atomically: reads and changes the states of several entities in one transaction.
//
// What for: changes that must happen to two or more entities together or not at all, and whose
// outcome the caller needs, such as a transfer between two accounts that is refused if there are
// insufficient funds. When not: if one entity may act first and the other a moment later
// (Context::cast: one transaction each, without waiting for each other), or for a single entity
// (Ref::call).
//
//   auto move = [ledger, cents](semper::Atomic& tx, Account::State& from, Account::State& to)
//       -> semper::Async<std::int64_t> {
//     if (from.balance < cents) {
//       co_return semper::fail(semper::ErrorKind::exhausted, "insufficient funds");
//     }
//     from.balance -= cents;
//     to.balance += cents;
//     tx.cast(ledger, Ledger::Moved{cents});                  // goes out with the commit
//     co_return from.balance;
//   };
//   auto left = co_await semper::atomically(store, std::tuple(ann, ben), move);
//
// The function gets the states by reference, in the order of the Refs. Refs of different behaviours
// go into a std::tuple; Refs of one behaviour may also go into a std::vector, and the function then
// gets a std::span<State* const>. It runs in this process, whether or not a host here serves the
// types. It may run more than once, like that of Store::transact, so it must have no effect apart
// from the states, `tx` and its captures. Name it before the co_await (g++ 12: store.h).
//
// It takes its turn like an ordinary message. It waits for the messages that were in the entities'
// queues when it was called, but not for later ones, and for locks to be released. It holds nothing
// meanwhile, so two calls over the same entities, in any order, cannot wait for each other; if they
// collide, one commits and the other runs again. If others keep committing to its entities, it asks
// their hosts to let it pass (kAtomicallyConflicts). Hosts that keep the states in memory read them
// again.
//
// What is durable when:
//   success          all states, all casts and everything else in `tx`, in one commit
//   outcome_unknown  all or nothing; the store could not say which. It was not retried
//   any other error, or an exception of the function (which passes through)   nothing, for good
//   it never returns (a crash, a destroyed loop)   all or nothing
//   the calling coroutine is cancelled   `cancelled`: nothing; `outcome_unknown` if it was
//                                        committing
// Entities that do not exist begin with init, and exist afterwards. States of an older version are
// upgraded; those of a newer version are left alone.
//
// Errors, in addition to those of the function and of the store:
//   timeout           AtomicallyOptions::timeout passed: the message says what it waited for, and
//                     who holds the lock. Nothing was changed; call again, or inspect that entity
//                     (semper explain)
//   unsupported       a state of a newer version: update this program. Or the behaviour has no
//                     default constructor and no host of this process serves it: call it where a
//                     host does
//   invalid_argument  no Ref, one entity twice, a Ref of another store, handle or tenant than the
//                     first argument, or not valid: change the call
//   exhausted         more than kAtomicallyEntities, or more than fits into a transaction: do less
//                     at once
//   corrupt           a state that cannot be decoded
//   retry             the queue of a cast is full: repeat the call later
// If the function returns `conflict`, it counts as the store's and the function runs again, so give
// your own refusals another kind.
//
// Do not use it in a callback: the entity that handles the message is busy or locked, and this
// would wait for it. If it must not be repeated after outcome_unknown, set your own key in
// tx.transaction(), and check for that key first. To change map entries, logs or timers of an
// entity, send it a cast. Threads: any; the function runs on the caller's executor. Source of the
// idea: FoundationDB's transactions, whose optimism needs no order of locks; Orleans' transactions
// over grains.
#pragma once

#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/env/cancellation.h"
#include "semper/server/atomically_options.h"
#include "semper/server/behaviour.h"
#include "semper/server/internal/atomic_run.h"
#include "semper/server/internal/run_atomically.h"
#include "semper/server/ref.h"

namespace semper {

// What the function gets in addition to the states; valid until it returns.
class Atomic {
 public:
  explicit Atomic(internal::AtomicRun& run) : run_(&run) {}

  // Sent with the commit or not at all, in the order of these calls. The receiver may also be one
  // of the entities; the message then joins its queue. If a message cannot be sent (see
  // Ref::cast_in), the whole call fails.
  template <class B, class M>
  requires HandlesCast<B, M>
  void cast(const Ref<B>& to, const M& message) {
    run_->send(to.untyped(), {std::string(short_type_name<M>()), encode(message)});
  }

  // The wall-clock time of this attempt.
  WallTime now() const { return run_->now(); }

  // For your own keys in this commit. Do not commit it.
  Transaction& transaction() const { return run_->transaction(); }

 private:
  internal::AtomicRun* run_;
};

template <class... B, class F>
auto atomically(Tenant tenant, const std::tuple<Ref<B>...>& refs, F fn,
                AtomicallyOptions options = {})
    -> std::invoke_result_t<F&, Atomic&, typename B::State&...> {
  using R = typename std::invoke_result_t<F&, Atomic&, typename B::State&...>::value_type;
  std::vector<internal::AtomicPart> parts;
  std::apply([&](const auto&... ref) { (parts.push_back(internal::atomic_part(ref)), ...); }, refs);
  auto run = internal::AtomicRun::make(std::move(tenant), std::move(parts), options);
  return run_through(internal::run_atomically<Atomic, R>(
      std::move(run), internal::with_states<Atomic, B...>(std::move(fn))));
}

template <class B, class F>
auto atomically(Tenant tenant, const std::vector<Ref<B>>& refs, F fn,
                AtomicallyOptions options = {})
    -> std::invoke_result_t<F&, Atomic&, std::span<typename B::State* const>> {
  using R =
      typename std::invoke_result_t<F&, Atomic&, std::span<typename B::State* const>>::value_type;
  std::vector<internal::AtomicPart> parts;
  for (const auto& ref : refs) parts.push_back(internal::atomic_part(ref));
  auto run = internal::AtomicRun::make(std::move(tenant), std::move(parts), options);
  return run_through(internal::run_atomically<Atomic, R>(
      std::move(run), internal::with_list_of_states<Atomic, B>(std::move(fn))));
}

}  // namespace semper
