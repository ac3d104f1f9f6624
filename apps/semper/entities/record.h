// The command record: one entity into a file, which Harness::load (semper/testing/harness.h) reads.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct RecordArguments {
  std::string entity;
  std::string output;          // a file's path; empty: the standard output
  std::size_t limit = 10'000;  // messages of the queue, and dead letters; 0: all that fit
  bool force = false;          // a file that is there is replaced
};
Async<void> record(Invocation& invocation, RecordArguments arguments);

}  // namespace semper::cli
