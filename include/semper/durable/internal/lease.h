// Lease: a value and the turn to use it; Members: the values that callers share, one or several.
//
// What for: durable.h and pool.h, which are templates over it. When not: never used directly.
//
// Invariants: with turns, nothing runs on the value of a place but what has the turn of that place;
// a turn is given back after what its f left behind was judged.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "semper/durable/internal/durable_core.h"

namespace semper::internal {

struct Members {
  std::vector<std::shared_ptr<DurableCore>> cores;  // one, or one for each place of `turns`
  std::shared_ptr<Turns> turns;                     // null: any number may use the value

  // Why nobody can be served now, if so; `closed` first.
  std::optional<Error> down() const;
  bool none_is_intact() const;
  void close() const;
};

// One f on a value. Exclusive: breaks what is not known to be whole when it goes.
class Use {
 public:
  explicit Use(std::shared_ptr<const Members> members) : members_(std::move(members)) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use();

  // A value that is intact, and with turns the turn for it, where both are there now.
  Result<bool> take_at_once();
  // The same, after take_at_once() said no; waits. Errors: as `with`.
  static Async<void> take(Use& use, Call call);

  HeldBase& held() const { return *held_; }

  Clock& clock() const { return core().clock(); }

  // Its f came to an end: with success, or with this error (`is_cut_off`: its caller was
  // cancelled).
  void succeeded();
  void failed(const Error& error, DurableCore::Thrown thrown, bool is_cut_off);
  // Its deadline passed while it ran, and it gave this error; returns that of the call.
  Error passed_deadline(const Error& its_own);

  Error error_of(const std::system_error& thrown) const;

 private:
  static Async<void> take_turn(Use& use, Call call);
  DurableCore& core() const { return *members_->cores[turn_ ? turn_.place() : 0]; }

  const std::shared_ptr<const Members> members_;
  Turns::Turn turn_;
  HeldPointer held_;  // before it is taken: what was found broken
  bool is_taken_ = false;
  bool is_judged_ = false;
};

// Keeps what `work` came to, for run_until.
template <class R>
Task<void> keep_outcome(asio::awaitable<R> work, std::optional<R>& result,
                        std::exception_ptr& thrown) {
  try {
    result.emplace(co_await std::move(work));
  } catch (...) {
    thrown = std::current_exception();
  }
}

}  // namespace semper::internal
