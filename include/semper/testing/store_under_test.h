// StoreUnderTest: a storage engine as the conformance suite meets it.
//
// What for: a backend's author describes the engine by one. When not: anything but the suite; see
// store_conformance.h, which has an example.
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
  // The machine's clock and several threads. For engines with threads or files of their own.
  real,
  // A SimulatedClock that jumps whenever nothing is ready, one thread. For engines that do
  // everything on the caller's executor and wait by the Env's clock alone.
  simulated
};

// Who can have the store open at once. Cases that need several processes are there only for
// `several`.
enum class Processes : std::uint8_t { one, several };

// What is left when the last handle is closed. Cases that open a store again are there only for
// `persistent`.
enum class Lifetime : std::uint8_t { while_open, persistent };

struct StoreUnderTest {
  // First part of the names of its cases: letters, digits and underscores.
  std::string name;
  // The URL of a store that is not there yet; every call for one place gives the same.
  std::function<std::string(const ConformancePlace& place)> url;
  // Opens the store, or another handle on it. Left empty: open_backend.
  std::function<Async<std::shared_ptr<Backend>>(std::string url, Env env)> open = {};
  ConformanceTime time = ConformanceTime::real;
  Processes processes = Processes::one;
  Lifetime lifetime = Lifetime::while_open;
  // How often a case is run again because a commit met a conflict that nothing accounts for. 1
  // where every conflict has a cause; more for an engine that may refuse without one.
  int attempts = 1;
};

}  // namespace semper::testing
