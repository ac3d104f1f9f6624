// Progress: one line on a terminal that says how far a long command is, at most four times a
// second.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "semper/env/clock.h"

namespace semper::cli {

class Progress {
 public:
  // Shows nothing where `out` is no terminal.
  enum class Show : bool { no, yes };
  Progress(std::ostream& out, Show show, Clock& clock);
  ~Progress();  // takes the line away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What was done so far; 0 items, or 0 as total: that part is left out.
  void update(std::uint64_t items, std::uint64_t bytes, std::uint64_t total_bytes = 0);

 private:
  std::ostream& out_;
  const Show show_;
  Clock& clock_;
  const MonotonicTime start_;
  MonotonicTime next_;
  bool shown_ = false;
};

}  // namespace semper::cli
