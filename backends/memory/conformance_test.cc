// The contract of a store's backend, run on memory: with threads, in simulated time, with faults.
#include "backends/memory/memory.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/store_conformance.h"

namespace semper {
namespace {

std::string url_of(const testing::ConformancePlace& place) {
  return "memory:conformance-" + std::to_string(place.number);
}

Async<std::shared_ptr<Backend>> open(std::string url, Env env) {
  SEMPER_CO_TRY(auto parsed, StoreUrl::parse(url));
  co_return co_await open_memory(std::move(parsed), env);
}

Async<std::shared_ptr<Backend>> open_with_faults(std::string url, Env env) {
  SEMPER_CO_TRY(auto inner, co_await open(std::move(url), env));
  co_return std::make_shared<testing::FaultyBackend>(std::move(inner), env,
                                                     testing::StoreFaults{.conflict = 0.01,
                                                                          .unknown_applied = 0.03,
                                                                          .unknown_lost = 0.01,
                                                                          .unknown_late = 0.02,
                                                                          .delay = 0.1,
                                                                          .watch_late = 0.1,
                                                                          .watch_spurious = 0.1});
}

const std::size_t with_threads = testing::register_store_conformance(
    {.name = "memory", .url = url_of, .open = open, .links = testing::Links::some});

const std::size_t simulated =
    testing::register_store_conformance({.name = "memory_simulated",
                                         .url = url_of,
                                         .open = open,
                                         .time = testing::ConformanceTime::simulated,
                                         .links = testing::Links::some});

const std::size_t with_faults =
    testing::register_store_conformance({.name = "memory_with_faults",
                                         .url = url_of,
                                         .open = open_with_faults,
                                         .time = testing::ConformanceTime::simulated,
                                         .links = testing::Links::some,
                                         .attempts = 200});

}  // namespace
}  // namespace semper
