// Log lines: what Semper tells its operator.
//
// What for: events that an operator may have to act on, or will want to see later: a host started,
// a lock was taken over, an entity was parked. When not: per message on a hot path (count it, see
// metrics.h), or for events to which a caller must react (return an Error).
//
//   semper::log_info("host", "serving Counter on sqlite:./data.db");
//   semper::log_debug("queue", [&] { return "batch of " + std::to_string(n); });  // lazily
//   semper::set_log_sink([&my_logger](semper::LogLevel, std::string_view component,
//                                     std::string_view message) {
//     my_logger.write(component, message);
//   });
//
// Never in a log line, at any level: the contents of states, messages and replies, tokens,
// passwords, the user part of a URL. Names, ids, sizes and versions are fine.
//
// Lines below the level cost one relaxed load. The level is `info` at start, or what the
// environment variable SEMPER_LOG says (trace, debug, info, warning, error, off). Without a custom
// sink, lines go to stderr with the time.
//
// Threads: everything here from any thread at any time.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "semper/base/internal/log.h"
#include "semper/base/log_level.h"

namespace semper {

std::string_view to_string(LogLevel level) noexcept;
// The level with that name, as written above; nothing for other names.
std::optional<LogLevel> log_level_from(std::string_view name) noexcept;

// Called for each line at or above the level, on the logging thread, possibly on several at once.
// It should not block for long. Its exceptions are ignored, and so is a line that it logs itself.
// The views are valid only during the call.
using LogSink =
    std::function<void(LogLevel level, std::string_view component, std::string_view message)>;

// Replaces the sink; an empty function restores stderr. A line that is being written on another
// thread may still reach the old sink after this returns.
void set_log_sink(LogSink sink);

void set_log_level(LogLevel level) noexcept;
LogLevel log_level() noexcept;

inline bool is_logged(LogLevel level) noexcept {
  return level >= internal::log_threshold.load(std::memory_order_relaxed);
}

// Logs a line; `component` names its source: "host", "sqlite", "ring".
inline void log(LogLevel level, std::string_view component, std::string_view message) noexcept {
  if (is_logged(level)) internal::write_log_line(level, component, message);
}
// The same with a function that creates the message; it is called only if the line is shown.
template <std::invocable<> MakeMessage>
void log(LogLevel level, std::string_view component, const MakeMessage& make_message) {
  if (is_logged(level)) internal::write_log_line(level, component, std::string(make_message()));
}

template <class Message>
void log_trace(std::string_view component, const Message& message) {
  log(LogLevel::trace, component, message);
}
template <class Message>
void log_debug(std::string_view component, const Message& message) {
  log(LogLevel::debug, component, message);
}
template <class Message>
void log_info(std::string_view component, const Message& message) {
  log(LogLevel::info, component, message);
}
template <class Message>
void log_warning(std::string_view component, const Message& message) {
  log(LogLevel::warning, component, message);
}
template <class Message>
void log_error(std::string_view component, const Message& message) {
  log(LogLevel::error, component, message);
}

}  // namespace semper
