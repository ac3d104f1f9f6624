// HighContentionAllocator: short numbers that are never given out twice, to many at once.
//
// Numbers come from a window [start, start + size) that is at most half full. A transaction counts
// itself into the window with an atomic add, which conflicts with nobody, draws a number at random
// and conflicts only with another one that drew the same. A window that is half full is left for
// the next one; windows grow with the numbers, so numbers stay short and collisions rare.
//
// Keys, as in FoundationDB's directory layer, whose idea this is:
//
//   (0, start) -> how many were given out of the window, little endian
//   (1, number) -> "" for each number given out of the newest window
//
// One thing is different. The counters are read as a snapshot, so a transaction may hold a number
// of a window that another one has just closed, together with the record of who has which number. A
// store that keeps the history of writes would notice; one that compares what was read with what is
// there now would not. So each allocation also reads "there is no later window": opening a window
// makes everybody who is still in the old one try again.
#pragma once

#include <cstdint>

#include "semper/env/random.h"
#include "semper/store/subspace.h"
#include "semper/store/transaction.h"

namespace semper::internal {

class HighContentionAllocator {
 public:
  // `random` must outlive it.
  HighContentionAllocator(const Subspace& subspace, Random& random);

  // A number that no committed transaction was given on this subspace, nor this one before; free
  // for good once the transaction has committed. Errors: those of reads, corrupt.
  Async<std::int64_t> allocate(Transaction& transaction) const;

  // How many numbers the window beginning there has.
  static std::int64_t window_size(std::int64_t start) noexcept;

 private:
  Async<std::int64_t> newest_window(Transaction& transaction) const;
  Async<std::int64_t> enter_window(Transaction& transaction) const;
  Async<std::int64_t> numbers_given(Transaction& transaction, Bytes counter) const;

  Subspace counters_;
  Subspace recent_;
  Random* random_;
};

}  // namespace semper::internal
