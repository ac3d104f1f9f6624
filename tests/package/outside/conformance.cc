// The conformance suite in a third party's hands. The backend under test is the memory one, reached
// by its URL as a user would; a backend of one's own is given by `.open` in the same place.
#include <semper/open_store.h>
#include <semper/testing/store_conformance.h>

#include <string>

namespace {

std::size_t register_cases() {
  semper::register_builtin_backends();
  return semper::testing::register_store_conformance(
      {.name = "outside",
       .url =
           [](const semper::testing::ConformancePlace& place) {
             return "memory:outside-" + std::to_string(place.number);
           },
       .time = semper::testing::ConformanceTime::simulated});
}

const std::size_t cases = register_cases();

}  // namespace
