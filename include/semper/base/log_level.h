// LogLevel: how much a log line matters.
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
  trace,    // every step; for those who work on Semper
  debug,    // every decision
  info,     // what a person who runs it wants to have seen
  warning,  // it goes on, but somebody should look
  error,    // something that was asked for did not happen
  off,      // nothing at all; no line has this level
};

}  // namespace semper
