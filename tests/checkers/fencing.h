// Did two holders of one lock get their way? By their fencing tokens.
//
// Each run of handle_locked shows its token to an outside system, which refuses one that is smaller
// than what it has seen. What must hold for one entity:
//   - the results that were written have tokens that grow;
//   - each of them had shown its token outside, and was not refused there: who was refused had lost
//     the lock, and a result of his must not be written;
//   - no two messages hold one token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace semper::testing {

struct ShownToken {
  std::uint64_t token = 0;
  std::uint64_t message = 0;
  bool accepted = true;
};

struct WrittenResult {
  std::uint64_t token = 0;
  std::uint64_t message = 0;
};

// Both in their order.
std::vector<std::string> judge_fencing(const std::string& entity,
                                       const std::vector<ShownToken>& shown,
                                       const std::vector<WrittenResult>& written);

}  // namespace semper::testing
