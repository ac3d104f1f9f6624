// What the tool's exit code says. Part of its interface: scripts decide by it.
#pragma once

#include "semper/base/result.h"

namespace semper::cli {

enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,         // it could not be done; the message says why
  kUsage = 2,           // the command line, or an argument in it, is wrong
  kNotFound = 3,        // the store, type, entity, key or ring is not there
  kTimeout = 4,         // no answer in time; the message may still be processed
  kOutcomeUnknown = 5,  // it may have taken effect: look before doing it again
  kDamaged = 6,         // what is stored is damaged; the message says where
  kNotNow = 7,          // suspended, in use, or an acknowledgement is due; try again later
};

inline ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return kUsage;
    case ErrorKind::not_found:
      return kNotFound;
    case ErrorKind::timeout:
      return kTimeout;
    case ErrorKind::outcome_unknown:
      return kOutcomeUnknown;
    case ErrorKind::corrupt:
      return kDamaged;
    case ErrorKind::retry:
    case ErrorKind::suspended:
    case ErrorKind::conflict:
      return kNotNow;
    default:
      return kFailure;
  }
}

}  // namespace semper::cli
