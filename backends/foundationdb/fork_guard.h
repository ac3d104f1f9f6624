// Fork guard: a handle on FoundationDB belongs to the process that made it.
//
// The client library runs one thread, which a forked child does not have and cannot start again.
// What the child inherited is left alone: not used, and not destroyed either, because both would
// wait for that thread.
#pragma once

#include <cstdint>

#include "semper/base/result.h"

namespace semper::foundationdb {

// Changes in every forked child.
std::uint64_t fork_generation() noexcept;

class ForkGuard {
 public:
  bool is_foreign() const noexcept { return generation_ != fork_generation(); }

  // Error in a child: unsupported, says what to do instead.
  Status check() const;

 private:
  std::uint64_t generation_ = fork_generation();
};

}  // namespace semper::foundationdb
