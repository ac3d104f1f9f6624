// LogLevel: how important a log line is.
//
// What for: options that name a level. When not: writing lines; include log.h.
//
//   semper::set_log_level(semper::LogLevel::debug);
//
// Threads: a value.
#pragma once

#include <cstdint>

namespace semper {

enum class LogLevel : std::uint8_t {
  trace,    // every step; for developers of Semper
  debug,    // every decision
  info,     // what an operator wants to see
  warning,  // the program continues, but somebody should look
  error,    // a requested operation failed
  off,      // nothing at all; no line has this level
};

}  // namespace semper
