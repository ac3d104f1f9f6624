// Where the lines of log.h go.
#pragma once

#include <atomic>
#include <string_view>

#include "semper/base/log_level.h"

namespace semper::internal {

extern std::atomic<LogLevel> log_threshold;
void write_log_line(LogLevel level, std::string_view component, std::string_view message) noexcept;

}  // namespace semper::internal
