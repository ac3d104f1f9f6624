// HarnessPoints: who is told where a process of a Harness is, and says what happens to it there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "semper/testing/faulty_backend.h"
#include "semper/testing/internal/harness_type.h"

namespace semper::testing::internal {

enum class HarnessFault : std::uint8_t {
  none,
  crash,
  cancel,
  conflict,
  unknown_applied,
  unknown_lost,
};
const char* to_string(HarnessFault fault);

enum class PointKind : std::uint8_t { read, commit, committed, timer };

// What a commit did, by the documented format of the store (docs/formats.md).
struct CommitFacts {
  std::vector<std::string> replies;  // the keys of calls that it answered, one each time
  std::vector<HarnessSent> sent;
  std::string written;     // for people
  bool is_upkeep = false;  // a registration, or a lock, that is renewed, and nothing else
};

class HarnessPoints {
 public:
  virtual ~HarnessPoints() = default;

  // The process is about to do that (committed: has done it). Returns the fault of this commit. The
  // process gives way to the loop next, and may not come back from there.
  virtual CommitFault at_point(std::size_t process, PointKind kind, const std::string& what,
                               bool is_upkeep = false) = 0;
  // A commit has taken effect, whatever its process is told.
  virtual void applied(std::size_t process, const CommitFacts& facts) = 0;
};

}  // namespace semper::testing::internal
