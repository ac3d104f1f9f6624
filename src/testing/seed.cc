#include "semper/testing/seed.h"

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "semper/env/random.h"

namespace semper::testing {
namespace {

// Drawn seeds are short enough to be typed.
constexpr std::uint64_t kDrawnBelow = 1'000'000'000;

std::uint64_t choose() {
  const char* given = std::getenv("SEMPER_TEST_SEED");
  if (given == nullptr) return system_random().below(kDrawnBelow);
  const std::string_view text(given);
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::invalid_argument("SEMPER_TEST_SEED=\"" + std::string(text) +
                                "\" is not a number; set it to the seed that a test printed");
  }
  return seed;
}

}  // namespace

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const auto chosen = choose();
    std::cout << "seed " << chosen << " (SEMPER_TEST_SEED=" << chosen << " replays it)"
              << std::endl;
    return chosen;
  }();
  return seed;
}

}  // namespace semper::testing
