// The conformance suite: what every backend of a store must do, as tests.
//
// What for: authors of a backend. The suite runs serializability, read-your-writes, atomic
// operations, versionstamps, watches, limits, crashes and thousands of concurrent transactions
// against it, through the same Transaction and Store that applications use. When not: performance,
// and behaviour peculiar to one engine; these belong in the backend's own tests.
//
// In one .cc file of a GoogleTest program:
//
//   static const std::size_t cases = semper::testing::register_store_conformance({
//       .name = "mine",
//       .url = [](const semper::testing::ConformancePlace& place) {
//         return "mine:" + place.folder + "/store";
//       },
//       .open = [](std::string url, semper::Env env) { return open_mine(std::move(url), env); },
//       .processes = semper::testing::Processes::several});
//
// The cases are named mine/StoreConformance.the_promise_that_holds. Randomised ones start from
// test_seed(). Cases about several processes start the test program again; it must reach
// RUN_ALL_TESTS with its arguments (gtest_main does). All cases together take a few seconds. Source
// of the idea: Abseil's contract suites; the workloads Cycle and Serializability are
// FoundationDB's.
#pragma once

#include <cstddef>

#include "semper/testing/store_under_test.h"

namespace semper::testing {

// Registers the cases with GoogleTest; returns how many. Call it before RUN_ALL_TESTS, once for
// each name.
std::size_t register_store_conformance(StoreUnderTest store);

}  // namespace semper::testing
