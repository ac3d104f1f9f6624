// `store copy FROM TO`: all of one store into another, on whatever backends.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct CopyArguments {
  std::string from;  // URLs
  std::string to;
  bool online = false;     // the source is in use: bring the target close, do not finish
  bool overwrite = false;  // the target may hold something: make it like the source
  bool check = false;      // say what would happen, write nothing
  bool compare = false;    // say where the two differ, write nothing
};

// Copies, catches up, verifies. Interrupted or killed at any moment, the same command goes on.
// Errors: retry (somebody uses a store; the source changes faster than it is copied),
// already_exists (the target is not empty), exhausted (rows that the target cannot hold),
// unsupported (versions of the target cannot be raised), conflict (--compare: they differ), corrupt
// (the target does not hold what was written), cancelled (interrupted).
Async<void> copy_store(Invocation& invocation, CopyArguments arguments);

}  // namespace semper::cli
