// StoreUnderTest: describes a storage engine to the conformance suite.
//
// What for: authors of a backend. When not: anything except the suite. See store_conformance.h for
// an example.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "semper/store/backend.h"

namespace semper::testing {

// Where a case may put its store.
struct ConformancePlace {
  // An empty folder, removed after the case.
  std::string folder;
  // Different for each store of this process.
  int number = 0;
};

// Who keeps time while a case runs.
enum class ConformanceTime : std::uint8_t {
  // The machine's clock and several threads. For engines with their own threads or files.
  real,
  // A SimulatedClock that jumps whenever nothing is ready, and one thread. For engines that do
  // everything on the caller's executor and wait only with the Env's clock.
  simulated
};

// How many processes can have the store open at once. Cases that need several processes exist only
// for `several`.
enum class Processes : std::uint8_t { one, several };

// What is left when the last handle is closed. Cases that open a store again exist only for
// `persistent`.
enum class Lifetime : std::uint8_t { while_open, persistent };

// Whether its backend implements Neighbours (semper/store/neighbours.h). Cases about links between
// open stores exist only for `some`.
enum class Links : std::uint8_t { none, some };

struct StoreUnderTest {
  // The first part of the names of its cases: letters, digits and underscores.
  std::string name;
  // The URL of a store that does not exist yet; every call for one place returns the same.
  std::function<std::string(const ConformancePlace& place)> url;
  // Opens the store, or another handle on it. Left empty: open_backend.
  std::function<Async<std::shared_ptr<Backend>>(std::string url, Env env)> open = {};
  ConformanceTime time = ConformanceTime::real;
  Processes processes = Processes::one;
  Lifetime lifetime = Lifetime::while_open;
  Links links = Links::none;
  // How often a case is run because a commit got a conflict without a cause. 1 if every conflict
  // has a cause; more for an engine that may refuse a commit without cause.
  int attempts = 1;
};

}  // namespace semper::testing
