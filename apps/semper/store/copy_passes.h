// The passes of a copy: each reads the source from end to end.
//
//   measure   counts, and looks for rows that the target cannot hold; writes nothing
//   fill      writes every row from record().next on, without looking at what the target holds
//   compare   reads both sides and says where they differ; writes the differences where asked to
//
// After a fill, and a compare that found nothing, the target is the source as it was at every
// moment between the two: each page was the same before and after (a change that was taken back in
// between is none). What is written to the source later is not in the target.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/interrupt.h"
#include "common/progress.h"
#include "store/copy_target.h"

namespace semper::cli {

// Of whatever is listed, the first so many are named; all are counted.
inline constexpr std::size_t kNamedMaximum = 20;

struct Measured {
  Tally tally;
  std::uint64_t misfits = 0;
  std::vector<std::string> named;  // "key ... : the value has 5 bytes, value_bytes is 4"
};

struct Difference {
  enum class Kind : std::uint8_t { only_in_source, only_in_target, other_value };
  Kind kind;
  Bytes key;
};

struct Compared {
  Tally source;
  Tally target;
  std::uint64_t differences = 0;
  std::vector<Difference> named;
};

class CopyPasses {
 public:
  // Borrows all.
  CopyPasses(const Store& source, CopyTarget& target, const Interrupt& interrupt)
      : source_(source), target_(target), interrupt_(interrupt) {}

  // `expected_bytes` is what the progress is measured by. Errors of all: cancelled (interrupted;
  // what was written is recorded), retry, those of the stores.
  Async<Measured> measure(Progress& progress);
  Async<void> fill(Progress& progress, std::uint64_t expected_bytes);

  enum class Write : bool { nothing, differences };
  Async<Compared> compare(Write write, Progress& progress, std::uint64_t expected_bytes);

 private:
  Status check_interrupt() const;
  Async<void> repair(Difference::Kind kind, const KeyValue& row);

  const Store& source_;
  CopyTarget& target_;
  const Interrupt& interrupt_;
};

}  // namespace semper::cli
