// test_seed: the seed of a randomised test, and how to repeat the same run.
//
// What for: every randomised test; seed a SeededRandom with it. When not: tests with fixed input.
//
//   SeededRandom random(test_seed());       // SEMPER_TEST_SEED=17 ./store_test replays seed 17
#pragma once

#include <cstdint>

namespace semper::testing {

// The environment variable SEMPER_TEST_SEED if it is set to a number, otherwise drawn once per
// process. The first call prints the seed and how to replay it. Threads: any.
std::uint64_t test_seed();

}  // namespace semper::testing
