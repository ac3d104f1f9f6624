#include "server/format/dead_letter_mark.h"

#include <charconv>
#include <string>
#include <string_view>

#include "semper/server/dead_letters.h"

namespace semper {
namespace {

constexpr std::string_view kMark = "dead_letter(";

}  // namespace

Error internal::as_dead_letter(const Error& reason, std::uint64_t attempts) {
  return reason.in(std::string(kMark) + std::to_string(attempts) + ")");
}

std::optional<std::uint64_t> dead_letter_attempts(const Error& error) {
  const std::string& text = error.message();
  // First, or behind a place that was put before it.
  std::size_t at = text.find(kMark);
  const auto is_behind_a_place = [&] { return at >= 2 && text.compare(at - 2, 2, ": ") == 0; };
  while (at != std::string::npos && at != 0 && !is_behind_a_place()) at = text.find(kMark, at + 1);
  if (at == std::string::npos) return std::nullopt;
  const char* const begin = text.data() + at + kMark.size();
  const char* const end = text.data() + text.size();
  std::uint64_t attempts = 0;
  const auto [rest, error_code] = std::from_chars(begin, end, attempts);
  const std::string_view left(rest, static_cast<std::size_t>(end - rest));
  if (error_code != std::errc() || !left.starts_with("): ")) return std::nullopt;
  return attempts;
}

}  // namespace semper
