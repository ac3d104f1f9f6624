// Surface: which public operations the workloads drew, and how often. surface_test compares it with
// the operations that the public headers declare.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace semper::simulation {

class Surface {
 public:
  // "Ref::cast", "Context::reply"
  void drawn(std::string_view operation) { ++counts_[std::string(operation)]; }
  void add(const Surface& other) {
    for (const auto& [operation, count] : other.counts_) counts_[operation] += count;
  }
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace semper::simulation
