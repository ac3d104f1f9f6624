// Random: the source of random numbers, so that a seed can replay them.
//
// What for: jitter, identifiers, sampling. When not: secrets and keys; SystemRandom is seeded by
// the kernel but is a fast generator, not a cryptographic one.
//
//   Random& random = system_random();      // production
//   SeededRandom replay(seed);             // tests: the same seed, the same numbers
//
// Threads: system_random() from any thread; a SeededRandom from one thread at a time.
#pragma once

#include <cstdint>

#include "semper/base/bytes.h"

namespace semper {

class Random {
 public:
  virtual ~Random() = default;

  // 64 uniform bits.
  virtual std::uint64_t next() = 0;

  // Uniform in [0, bound). Precondition: bound > 0 (asserted).
  std::uint64_t below(std::uint64_t bound);

  // Uniform in [0, 1).
  double unit();

  // True with this probability (0 to 1).
  bool chance(double probability) { return unit() < probability; }

  // `count` uniform bytes.
  Bytes bytes(std::size_t count);
};

// xoshiro256** from one seed.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed);
  std::uint64_t next() override;

 private:
  std::uint64_t state_[4];
};

// One generator per thread, each seeded by the kernel (and again in a forked child).
Random& system_random();

}  // namespace semper
