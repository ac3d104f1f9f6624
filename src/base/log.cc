#include "semper/base/log.h"

#include <pthread.h>
#include <spdlog/details/console_globals.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "semper/base/bytes.h"

namespace semper {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"trace",   "debug", "info",
                                                         "warning", "error", "off"};
static_assert(kLevelNames.size() == static_cast<std::size_t>(LogLevel::off) + 1);

LogLevel level_at_start() noexcept {
  const char* wanted = std::getenv("SEMPER_LOG");
  return log_level_from(wanted != nullptr ? wanted : "").value_or(LogLevel::info);
}

spdlog::level::level_enum spdlog_level(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      break;
  }
  return spdlog::level::off;
}

// Of a message: what others say (an exception's text, a name) may be as long as it likes.
constexpr std::size_t kLogMessageBytes = 8u << 10;

bool is_control(char character) {
  return static_cast<unsigned char>(character) < 0x20 || character == 0x7f;
}

bool is_a_line(std::string_view message) {
  return message.size() <= kLogMessageBytes &&
         std::none_of(message.begin(), message.end(), is_control);
}

// One line, whatever the message holds: nobody writes another one into it, or to a terminal.
std::string as_a_line(std::string_view message) {
  std::string line;
  for (const char character : message.substr(0, kLogMessageBytes)) {
    if (character == '\n') {
      line += "\\n";
    } else if (is_control(character)) {
      line += to_printable({&character, 1});
    } else {
      line += character;
    }
  }
  if (message.size() > kLogMessageBytes) {
    line += "…(" + std::to_string(message.size()) + " bytes)";
  }
  return line;
}

// A logger of our own, outside spdlog's registry: the program may use spdlog for itself.
LogSink stderr_sink() {
  auto logger = std::make_shared<spdlog::logger>(
      "semper", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(spdlog::level::trace);  // the threshold is ours
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
  return [logger = std::move(logger)](LogLevel level, std::string_view component,
                                      std::string_view message) {
    logger->log(spdlog_level(level), "{}: {}", component, message);
  };
}

// Never destroyed: threads may log while static objects are.
struct Sinks {
  std::mutex mutex;
  std::shared_ptr<const LogSink> current;
};
Sinks& sinks() {
  static Sinks* const instance = new Sinks;
  return *instance;
}

// A child of a fork must be able to log, whatever another thread was just doing in the parent: all
// locks are free in it.
void hold_locks() {
  sinks().mutex.lock();
  spdlog::details::console_mutex::mutex().lock();
}

void let_locks_go() {
  spdlog::details::console_mutex::mutex().unlock();
  sinks().mutex.unlock();
}

// When the program is loaded, not at the first line: a thread that is within the first line while
// another one forks would be within it for ever in the child. Before all others, so that a fork
// takes these locks last: who holds another one may log.
[[gnu::constructor(101)]] void prepare_for_forks() {
  static_cast<void>(pthread_atfork(hold_locks, let_locks_go, let_locks_go));
}

std::shared_ptr<const LogSink> current_sink() {
  const std::lock_guard lock(sinks().mutex);
  if (sinks().current == nullptr) sinks().current = std::make_shared<const LogSink>(stderr_sink());
  return sinks().current;
}

}  // namespace

std::atomic<LogLevel> internal::log_threshold{level_at_start()};

std::string_view to_string(LogLevel level) noexcept {
  const auto index = static_cast<std::size_t>(level);
  return index < kLevelNames.size() ? kLevelNames[index] : "off";
}

std::optional<LogLevel> log_level_from(std::string_view name) noexcept {
  for (std::size_t index = 0; index < kLevelNames.size(); ++index) {
    if (kLevelNames[index] == name) return static_cast<LogLevel>(index);
  }
  return std::nullopt;
}

void set_log_sink(LogSink sink) {
  std::shared_ptr<const LogSink> replaced =
      sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  const std::lock_guard lock(sinks().mutex);
  sinks().current.swap(replaced);
}

void set_log_level(LogLevel level) noexcept {
  internal::log_threshold.store(level, std::memory_order_relaxed);
}

LogLevel log_level() noexcept {
  return internal::log_threshold.load(std::memory_order_relaxed);
}

void internal::write_log_line(LogLevel level, std::string_view component,
                              std::string_view message) noexcept {
  thread_local bool is_inside_sink = false;
  if (is_inside_sink || level >= LogLevel::off) return;
  is_inside_sink = true;
  try {
    if (is_a_line(message)) {
      (*current_sink())(level, component, message);
    } else {
      (*current_sink())(level, component, as_a_line(message));
    }
  } catch (...) {
    // A log line is not worth a failure of what it tells about.
  }
  is_inside_sink = false;
}

}  // namespace semper
