#include "semper/env/random.h"

#include <sys/random.h>

#include <bit>

#include "semper/base/assert.h"
#include "semper/env/fork.h"

namespace semper {
namespace {

// Spreads one seed over the generator's state (splitmix64, Steele et al. 2014).
std::uint64_t spread(std::uint64_t& seed) {
  seed += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = seed;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t kernel_seed() {
  std::uint64_t seed = 0;
  const auto got = getrandom(&seed, sizeof seed, 0);
  SEMPER_ASSERT(got == sizeof seed, "the kernel gives eight random bytes at once");
  return seed;
}

// Each thread's generator, drawn anew in a child so that parent and child never share numbers.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override {
    const auto generation = fork_generation();
    if (generation != generation_) {
      generator_ = SeededRandom(kernel_seed());
      generation_ = generation;
    }
    return generator_.next();
  }

 private:
  SeededRandom generator_{kernel_seed()};
  std::uint64_t generation_ = fork_generation();
};

// The object that is shared: it draws from the calling thread's own generator.
class PerThreadRandom final : public Random {
 public:
  std::uint64_t next() override {
    thread_local SystemRandom mine;
    return mine.next();
  }
};

}  // namespace

std::uint64_t Random::below(std::uint64_t bound) {
  SEMPER_ASSERT(bound > 0, "there is no number below zero");
  // Lemire's multiplication, with the biased remainder drawn again.
  std::uint64_t low = 0;
  const std::uint64_t threshold = -bound % bound;
  __extension__ using Product = unsigned __int128;
  Product product = 0;
  do {
    product = static_cast<Product>(next()) * bound;
    low = static_cast<std::uint64_t>(product);
  } while (low < threshold);
  return static_cast<std::uint64_t>(product >> 64);
}

double Random::unit() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

Bytes Random::bytes(std::size_t count) {
  Bytes out;
  out.reserve(count + 8);
  while (out.size() < count) append_little_endian_u64(out, next());
  out.resize(count);
  return out;
}

SeededRandom::SeededRandom(std::uint64_t seed) {
  for (auto& word : state_) word = spread(seed);
}

std::uint64_t SeededRandom::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

Random& system_random() {
  static auto* const random = new PerThreadRandom();  // never destroyed, as the system's clock
  return *random;
}

// Made when the program is loaded: while a thread makes it, another one may fork.
[[maybe_unused]] static const Random& system_random_made_at_start = system_random();

}  // namespace semper
