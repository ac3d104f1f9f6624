// What several tests of a Durable ask of it.
#pragma once

#include <string>
#include <vector>

#include "semper/durable/durable.h"

namespace semper::durable_test {

inline bool never_broken(const int&) {
  return false;
}

// The number, or the kind of the error instead.
inline Task<void> call(Durable<int> durable, std::vector<std::string>& seen) {
  auto value = co_await durable.with([](int& number) { return number; });
  seen.push_back(value ? std::to_string(*value) : std::string(to_string(value.error().kind())));
}

}  // namespace semper::durable_test
