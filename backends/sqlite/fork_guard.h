// Fork guard: an open store belongs to the process that opened it.
//
// A forked child shares memory, descriptors and locks with its parent, and SQLite forbids to use a
// connection there. Each open store remembers the generation it was made in; a child is in another
// one. What the child inherited is left alone: not used, and not destroyed either, because both
// would touch locks that are the parent's.
#pragma once

#include <cstdint>

#include "semper/base/result.h"

namespace semper::sqlite {

// Changes in every forked child.
std::uint64_t fork_generation() noexcept;

// Closes the descriptor in forked children, so that a child that lives on keeps no lock of its
// parent alive. At most kCloseInChildMaximum; false past it.
inline constexpr int kCloseInChildMaximum = 1024;
bool close_in_child(int descriptor);
void forget_descriptor(int descriptor);

class ForkGuard {
 public:
  bool is_foreign() const noexcept { return generation_ != fork_generation(); }

  // Error in a child: unsupported, says to open the store again.
  Status check() const;

 private:
  std::uint64_t generation_ = fork_generation();
};

}  // namespace semper::sqlite
