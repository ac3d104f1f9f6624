// Output: whether results have reached where they should go, and in words why not.
#pragma once

#include <iosfwd>

#include "semper/base/result.h"

namespace semper::cli {

class Output {
 public:
  explicit Output(std::ostream& out) : out_(out) {}

  // Writes through `write(std::ostream&)`, and keeps the system's reason where it fails.
  template <class Write>
  void print(Write write) {
    begin();
    write(out_);
    end();
  }

  // Error io where not all of it could be written: the stream is closed, its reader has gone, the
  // disk is full, or what else the system says.
  Status flush();

 private:
  void begin();
  void end();

  std::ostream& out_;
  int reason_ = 0;  // an errno; 0: none is known
};

}  // namespace semper::cli
