// sync::atomically: changes several entities in one transaction, for programs with threads.
//
// What for: server/atomically.h without coroutines. When not: on a thread that runs coroutines,
// which includes callbacks, and for a single entity (sync/ref.h).
//
//   auto move = [&](semper::Atomic&, Account::State& from, Account::State& to) -> semper::Status {
//     if (from.balance < cents) {
//       return semper::fail(semper::ErrorKind::exhausted, "insufficient funds");
//     }
//     from.balance -= cents;
//     to.balance += cents;
//     return {};
//   };
//   SEMPER_TRY_STATUS(semper::sync::atomically(store, std::tuple(ann, ben), move));
//
// Durability, turns and errors: as there. The function returns a Result or a Status, and runs on
// the calling thread, once for each attempt; use semper::sync::wait to read keys in
// tx.transaction(). The function is never cancelled: if it takes longer than a transaction may, the
// call gets `timeout` at its commit, after several attempts. If the store does not answer within
// AtomicallyOptions::timeout plus kAnswerTime: `timeout` before the commit, `outcome_unknown` from
// it. Threads and forks: sync/wait.h.
#pragma once

#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/server/atomically.h"
#include "semper/sync/internal/run_atomically.h"
#include "semper/sync/ref.h"

namespace semper::sync {

template <class... B, class F>
std::invoke_result_t<F&, Atomic&, typename B::State&...> atomically(
    Tenant tenant, const std::tuple<Ref<B>...>& refs, F fn, AtomicallyOptions options = {}) {
  using R = std::invoke_result_t<F&, Atomic&, typename B::State&...>;
  std::vector<semper::internal::AtomicPart> parts;
  std::apply(
      [&](const auto&... ref) {
        (parts.push_back(semper::internal::atomic_part(ref.asynchronous())), ...);
      },
      refs);
  auto run = semper::internal::AtomicRun::make(std::move(tenant), std::move(parts), options);
  return internal::run_atomically<Atomic, R>(
      std::move(run), options.timeout, semper::internal::with_states<Atomic, B...>(std::move(fn)));
}

template <class B, class F>
std::invoke_result_t<F&, Atomic&, std::span<typename B::State* const>> atomically(
    Tenant tenant, const std::vector<Ref<B>>& refs, F fn, AtomicallyOptions options = {}) {
  using R = std::invoke_result_t<F&, Atomic&, std::span<typename B::State* const>>;
  std::vector<semper::internal::AtomicPart> parts;
  for (const auto& ref : refs) {
    parts.push_back(semper::internal::atomic_part(ref.asynchronous()));
  }
  auto run = semper::internal::AtomicRun::make(std::move(tenant), std::move(parts), options);
  return internal::run_atomically<Atomic, R>(
      std::move(run), options.timeout,
      semper::internal::with_list_of_states<Atomic, B>(std::move(fn)));
}

}  // namespace semper::sync
