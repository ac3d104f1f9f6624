// Fork: what of Semper works in a forked child.
//
// A child has its parent's memory and descriptors, and none of its threads. So:
//
//   - What the child opens or makes itself works: stores, schedulers, timers, rings; also where the
//     parent has the same store open and goes on with it.
//   - What the parent opened gives an error (`unsupported`: open it again in the child). It never
//     hangs, and does nothing to the parent's.
//   - exit(), and destructors of the parent's handles, end at once. They let go of nothing: what
//     they would end is the parent's.
//
// What for: prefork servers; docs/operations.md has the table. When not: a child that calls exec()
// needs none of this.
//
// Not covered: a child of vfork(), a fork in a timer's callback or while the same thread is inside
// a call of Semper, and FoundationDB's and gRPC's libraries, which do not survive it once the
// parent has used them: such a child execs a program.
//
//   const ForkGuard fork_;                       // a member of what belongs to its process
//   SEMPER_TRY_STATUS(fork_.check("this store"));
//
// Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

#include "semper/base/result.h"

namespace semper {

// Another number in every forked child. Costs a load.
std::uint64_t fork_generation() noexcept;

class ForkGuard {
 public:
  // True in a child of the process that made the guard.
  bool is_foreign() const noexcept { return generation_ != fork_generation(); }

  // Error there: unsupported, says to open `what` again.
  Status check(std::string_view what) const;

 private:
  std::uint64_t generation_ = fork_generation();
};

}  // namespace semper
