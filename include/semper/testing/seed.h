// test_seed: the number that a randomised test starts from, and how to get the same run again.
//
// What for: every test that draws; seed a SeededRandom with it. When not: tests with fixed input.
//
//   SeededRandom random(test_seed());       // SEMPER_TEST_SEED=17 ./store_test replays seed 17
#pragma once

#include <cstdint>

namespace semper::testing {

// The environment variable SEMPER_TEST_SEED where it is set to a number, otherwise drawn once per
// process. Prints the seed and how to replay it when it is first asked for. Threads: any.
std::uint64_t test_seed();

}  // namespace semper::testing
