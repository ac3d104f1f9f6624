// Fork: which parts of Semper work in a forked child.
//
// A child has its parent's memory and descriptors, and none of its threads. So:
//
//   - Objects that the child opens or creates itself work: stores, schedulers, timers, rings; even
//     if the parent has the same store open and continues to use it.
//   - Objects that the parent opened give an error (`unsupported`: open it again in the child).
//     They never hang, and do not affect the parent.
//   - exit(), and destructors of the parent's handles, return at once. They release nothing,
//     because it belongs to the parent.
//
// What for: prefork servers; see the table in docs/operations.md. When not: a child that calls
// exec() needs none of this.
//
// Not covered: a child of vfork(), a fork in a timer's callback or while the same thread is inside
// a call of Semper, and the libraries of FoundationDB and gRPC, which do not survive a fork once
// the parent has used them: such a child must exec a program.
//
//   const ForkGuard fork_; // a member of an object that belongs to its process
//
//   SEMPER_TRY_STATUS(fork_.check("this store"));
//
// Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

#include "semper/base/result.h"

namespace semper {

// A different number in every forked child. Costs a load.
std::uint64_t fork_generation() noexcept;

class ForkGuard {
 public:
  // True in a child of the process that created the guard.
  bool is_foreign() const noexcept { return generation_ != fork_generation(); }

  // Error in such a child: unsupported, with the advice to open `what` again.
  Status check(std::string_view what) const;

 private:
  std::uint64_t generation_ = fork_generation();
};

}  // namespace semper
