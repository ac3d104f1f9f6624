#include "server/serve/failure_log.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "semper/base/bytes.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"

namespace semper::internal {
namespace {

bool is_plain(std::string_view value) {
  const auto is_plain_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:@+~").find(c) != std::string_view::npos;
  };
  return !value.empty() && std::all_of(value.begin(), value.end(), is_plain_character);
}

// As JSON has it; what is not UTF-8 is made printable first.
std::string quoted(std::string_view value) {
  const std::string text = is_utf8(value) ? std::string(value) : to_printable(value, value.size());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (code < 0x20 || code == 0x7f) {
      out += "\\u00";
      out.push_back(kDigits[code >> 4]);
      out.push_back(kDigits[code & 0xf]);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

void add(std::string& line, std::string_view name, std::string_view value) {
  line.append(" ").append(name).append("=");
  line += is_plain(value) ? std::string(value) : quoted(value);
}

std::string_view word_of(Event event) {
  switch (event) {
    case Event::call:
      return "call";
    case Event::cast:
      return "cast";
    case Event::info:
      return "info";
  }
  return "message";
}

std::string_view word_of(FailedRun::How how) {
  switch (how) {
    case FailedRun::How::queued:
      return "queued";
    case FailedRun::How::local:
      return "local";
    case FailedRun::How::locked:
      return "locked";
    case FailedRun::How::priority:
      return "priority";
  }
  return "queued";
}

std::string_view word_of(FailedRun::Next next) {
  switch (next) {
    case FailedRun::Next::retry:
      return "retry";
    case FailedRun::Next::queue:
      return "queue";
    case FailedRun::Next::dead_letter:
      return "dead_letter";
    case FailedRun::Next::reply:
      return "reply";
  }
  return "retry";
}

// Within so many bytes, at the beginning of a character.
std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t size = most;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

std::string failure_line(const EntityId& id, const FailedRun& run, const Error& error) {
  std::string line = "message failed:";
  add(line, "type", id.type);
  add(line, "entity", id.id);
  add(line, "message", run.message);
  add(line, "event", word_of(run.event));
  add(line, "how", word_of(run.how));
  add(line, "attempt", std::to_string(run.attempt));
  const bool has_end = run.of != std::numeric_limits<int>::max();
  add(line, "of", has_end ? std::to_string(run.of) : "unlimited");
  add(line, "error", to_string(error.kind()));
  add(line, "text", cut(error.message(), kFailureTextBytes));
  add(line, "next", word_of(run.next));
  if (run.next != FailedRun::Next::retry) return line;
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(run.wait).count();
  add(line, "after_ms", std::to_string(wait));
  return line;
}

void FailureLog::failed(MonotonicTime now, const EntityId& id, const FailedRun& run,
                        const Error& error) {
  std::uint64_t not_logged = 0;
  {
    std::lock_guard lock(mutex_);
    Kind& kind = kinds_[error.kind()];
    if (kind.lines == 0 || now - kind.began >= kFailureLinesPeriod) {
      kind.began = now;
      kind.lines = 0;
    }
    const bool is_over =
        kind.lines >= kFailureLines && !SEMPER_MUTANT("server_failure_lines_without_a_bound");
    if (is_over || SEMPER_MUTANT("server_failure_without_a_line")) {
      ++kind.not_logged;
      return;
    }
    ++kind.lines;
    not_logged = std::exchange(kind.not_logged, 0);
  }
  std::string line = failure_line(id, run, error);
  if (not_logged > 0) add(line, "not_logged", std::to_string(not_logged));
  log_warning("server", line);
}

}  // namespace semper::internal
