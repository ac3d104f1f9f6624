// Gate: counts the operations in progress, and waits for the last one to leave.
//
// What for: a component that must not be destroyed while operations on it run. When not: limiting
// how many run (that is a semaphore).
//
//   auto inside = gate.enter();            // closed -> Error{closed}: start nothing
//   if (!inside) co_return semper::fail(inside.error());
//   ...                                    // work; the holder leaves when it is destroyed
//   co_await gate.close();                 // no one enters any more; returns when all have left
//
// Threads: any. close() may be called more than once; each returns when the gate is empty.
// Source of the idea: Seastar's gate.hh.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "semper/env/one_shot.h"

namespace semper {

class Gate {
  struct State;

 public:
  // `what` names the owner in the error that a late caller gets, e.g. "the host".
  explicit Gate(std::string what);
  ~Gate();  // asserts that nothing is inside
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  class Holder {
   public:
    Holder(Holder&&) noexcept = default;
    Holder& operator=(Holder&& other) noexcept;
    ~Holder();

   private:
    friend class Gate;
    explicit Holder(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  // Error: closed.
  Result<Holder> enter();

  // Refuses new entries from now on, without waiting.
  void shut();

  // shut(), then waits until everything that entered has left, even if it is cancelled meanwhile,
  // because its caller will then destroy something.
  Task<void> close();

  // As close(), but for at most until the deadline. timeout: the gate is shut, and so many are
  // still inside; call it again to wait on.
  Async<void> close_until(Clock& clock, MonotonicTime deadline);

  bool is_closed() const;
  std::size_t count() const;

 private:
  // Without a clock: without a deadline.
  Async<void> close_by(Clock* clock, MonotonicTime deadline);

  std::shared_ptr<State> state_;
};

}  // namespace semper
