// atomically: reads and changes the states of several entities in one transaction.
//
// What for: what must happen to two or more entities at once or not at all, and whose outcome the caller
// waits for: a transfer between two accounts that is refused where there is no cover. When not: where one
// entity may act first and the other a moment later (Context::cast: one transaction for each, no waiting
// for each other), or for one entity alone (Ref::call).
//
//   auto move = [cents](semper::Atomic& tx, Account::State& from, Account::State& to)
//       -> semper::Async<std::int64_t> {
//     if (from.balance < cents) co_return semper::fail(semper::ErrorKind::exhausted, "no cover");
//     from.balance -= cents;
//     to.balance += cents;
//     tx.cast(ledger, Ledger::Moved{cents});                  // goes out with the commit
//     co_return from.balance;
//   };
//   auto left = co_await semper::atomically(store, std::tuple(ann, ben), move);
//
// The function gets the states by reference, in the order of the Refs: of different behaviours as a
// std::tuple, of one behaviour also as a std::vector, as std::span<State* const>. It runs in this process,
// whether or not a host here serves the types, possibly more than once, as of Store::transact: it has no
// effect besides the states, `tx`, and what it captured. Name it before the co_await (g++ 12: store.h).
//
// It takes its turn as an ordinary message does. It waits for the messages that were in the entities'
// queues when it was asked, not for those that come later; and for the end of locks. Nothing is held
// meanwhile, so two calls over the same entities in whatever order cannot wait for each other; of those
// that meet, one commits and the other runs again. Where others keep committing to its entities, it asks
// their hosts to let it by (kAtomicallyConflicts). States that hosts keep in memory are read again.
//
// What is durable when:
//   success          all states, all casts and whatever else `tx` holds, in one commit
//   outcome_unknown  all of it, or nothing, which the store could not say. It was not tried again.
//   any other error, an exception of the function (which passes through)   nothing, nor ever will be
//   it never returns (a crash, a destroyed loop)   all or nothing
//   the calling coroutine is cancelled   `cancelled`, nothing; `outcome_unknown` once it commits
// Entities that do not exist begin with init, and exist after that; states of an older version are
// upgraded. Those of a newer version are left alone.
//
// Errors, beside those of the function and of the store:
//   timeout           AtomicallyOptions::timeout passed: the message says what it waited for, and who holds
//                     the lock. Nothing was changed; call again, or look at that entity (semper explain)
//   unsupported       a state of a newer version: update this program. Or the behaviour has no default
//                     constructor and no host of this process serves it: call where one does
//   invalid_argument  no Ref, one entity twice, a Ref of another store, handle or tenant than the first
//                     argument, or not valid: change the call
//   exhausted         over kAtomicallyEntities, or more than one transaction takes: do less at once
//   corrupt           a state does not decode
//   retry             a queue that a cast would go to is full: the same call later
// A `conflict` that the function returns is taken for the store's, and it runs again: give its own refusals
// another kind.
//
// Not in a callback: the entity that handles the message is at work, or locked, and this waits for it.
// Where it may not be sent twice after outcome_unknown, set a key of your own in tx.transaction(), and look
// for it first. Entries of Map and Log, and timers, are their entity's own: send it a cast.
// Threads: any; the function runs on the caller's executor. Source of the idea: FoundationDB's
// transactions, whose optimism needs no order of locks; Orleans' transactions over grains.
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

// What the function works with besides the states; gone when it returns.
class Atomic {
 public:
  explicit Atomic(internal::AtomicRun& run) : run_(&run) {}

  // Sent with the commit, or not at all; in the order of these calls. To whomever, also to one of the
  // entities, whose queue it joins. What cannot be sent (Ref::cast_in) fails the whole.
  template <class B, class M>
  requires HandlesCast<B, M>
  void cast(const Ref<B>& to, const M& message) {
    run_->send(to.untyped(), {std::string(short_type_name<M>()), encode(message)});
  }

  // The calendar time of this attempt.
  WallTime now() const { return run_->now(); }

  // For keys of your own in this commit. Do not commit it.
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
