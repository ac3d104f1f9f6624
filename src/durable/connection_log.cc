#include "semper/durable/internal/connection_log.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <utility>

namespace semper::internal {
namespace {

constexpr const char* kComponent = "durable";
constexpr std::string_view kHidden = "***";
// What stands before "=" or ":" in front of a secret; longer words that end so too.
constexpr std::array<std::string_view, 9> kSecretWords = {"password",      "passwd",  "passphrase",
                                                          "pwd",           "secret",  "token",
                                                          "authorization", "api_key", "apikey"};

char lower(char letter) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
}

bool ends_word(std::string_view text, std::size_t at) {
  const auto letter = static_cast<unsigned char>(text[at]);
  return std::isspace(letter) != 0 || letter == '&' || letter == ';' || letter == ',' ||
         letter == '"' || letter == '\'' || letter == ')';
}

// The part of a URL between "://" and the "@" of its host.
void hide_user_parts(std::string& text) {
  std::size_t at = 0;
  while ((at = text.find("://", at)) != std::string::npos) {
    at += 3;
    std::size_t end = at;
    std::size_t user_ends = std::string::npos;
    for (; end < text.size() && std::isspace(static_cast<unsigned char>(text[end])) == 0 &&
           text[end] != '/';
         ++end) {
      if (text[end] == '@') user_ends = end;
    }
    if (user_ends == std::string::npos) continue;
    text.replace(at, user_ends - at, kHidden);
  }
}

// What follows a word for secrets and "=" or ":"; quoted or not. After "authorization:" two words.
void hide_values(std::string& text) {
  std::string folded(text);
  std::transform(folded.begin(), folded.end(), folded.begin(), lower);
  for (const std::string_view word : kSecretWords) {
    std::size_t at = 0;
    while ((at = folded.find(word, at)) != std::string::npos) {
      at += word.size();
      std::size_t value = at;
      while (value < text.size() && (text[value] == ' ' || text[value] == '"')) ++value;
      if (value >= text.size() || (text[value] != '=' && text[value] != ':')) continue;
      ++value;
      while (value < text.size() && text[value] == ' ') ++value;
      std::size_t end = value;
      if (end < text.size() && (text[end] == '\'' || text[end] == '"')) {
        end = text.find(text[end], end + 1);
        end = end == std::string::npos ? text.size() : end + 1;
      } else {
        for (int words = word == "authorization" ? 2 : 1; words > 0 && end < text.size(); --words) {
          while (end < text.size() && text[end] == ' ') ++end;
          while (end < text.size() && !ends_word(text, end)) ++end;
        }
      }
      text.replace(value, end - value, kHidden);
      folded.replace(value, end - value, kHidden);
      at = value + kHidden.size();
    }
  }
}

std::string seconds_of(Duration span) {
  char text[32];
  const double seconds = std::chrono::duration<double>(span).count();
  std::snprintf(text, sizeof text, seconds < 10 ? "%.2f s" : "%.0f s", seconds);
  return text;
}

std::string attempts_of(std::uint64_t failures) {
  return std::to_string(failures) + (failures == 1 ? " failed attempt" : " failed attempts");
}

}  // namespace

std::string without_secrets(std::string_view text) {
  std::string shown(text.substr(0, std::min(text.find('\n'), 8 * kLogTextMaximum)));
  for (char& letter : shown) {
    if (std::iscntrl(static_cast<unsigned char>(letter)) != 0) letter = ' ';
  }
  hide_user_parts(shown);
  hide_values(shown);
  if (shown.size() > kLogTextMaximum) shown.resize(kLogTextMaximum);
  return shown;
}

ConnectionLog::ConnectionLog(std::string name, Clock& clock)
    : name_(std::move(name)), clock_(clock) {
  heard_ = lines_.subscribe([](const Line& line) { log(line.level, kComponent, line.text); });
}

void ConnectionLog::say(LogLevel level, const std::string& text) {
  if (is_logged(level)) lines_.post(Line{level, name_ + ": " + text});
}

void ConnectionLog::connected(const char* how) {
  if (std::exchange(is_up_, true)) return;
  const LogLevel level = by_caller_ && failures_ == 0 ? LogLevel::debug : LogLevel::info;
  std::string text = how;
  if (std::exchange(was_up_, true)) text += " again";
  if (failures_ > 0) text += " after " + attempts_of(failures_);
  if (down_since_ != kNever) text += ", " + seconds_of(clock_.now() - down_since_);
  say(level, text);
  is_given_up_ = by_caller_ = false;
  down_since_ = kNever;
  failures_ = 0;
}

void ConnectionLog::lost(Cause cause, std::string_view why) {
  if (!std::exchange(is_up_, false)) return;
  by_caller_ = cause == Cause::caller;
  down_since_ = clock_.now();
  say(by_caller_ ? LogLevel::debug : LogLevel::warning, "lost: " + without_secrets(why));
}

void ConnectionLog::failed(const Error& error) {
  if (down_since_ == kNever) down_since_ = clock_.now();
  if (++failures_ > 1) return;
  // Who asked for it first is told by the error; who had it and lost it may not be looking.
  say(was_up_ ? LogLevel::warning : LogLevel::info,
      "cannot connect: " + without_secrets(error.to_string()) +
          "; further failures are not logged");
}

void ConnectionLog::given_up(std::string_view why) {
  if (std::exchange(is_given_up_, true)) return;
  std::string text = "given up";
  if (failures_ > 0) text += " after " + attempts_of(failures_);
  if (down_since_ != kNever) text += ", " + seconds_of(clock_.now() - down_since_);
  say(LogLevel::error, text + ": " + without_secrets(why));
}

}  // namespace semper::internal
