#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace packages {
namespace {

using namespace std::chrono_literals;

constexpr auto kTerminalInterval = 50ms;
constexpr auto kLineInterval = 2s;
constexpr std::size_t kColumnsMaximum = 100;
constexpr std::size_t kBarMinimum = 10;

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string minutes_and_seconds(std::uint64_t seconds) {
  const std::string rest = std::to_string(seconds % 60);
  return std::to_string(seconds / 60) + (rest.size() < 2 ? ":0" : ":") + rest;
}

}  // namespace

std::string render_progress(const ProgressState& state, std::size_t columns) {
  const std::uint64_t done = std::min(state.done, state.total);
  const double share =
      state.total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(state.total);
  const double seconds = std::chrono::duration<double>(state.elapsed).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string text = " " + std::to_string(done) + "/" + std::to_string(state.total) + "  " +
                     std::to_string(static_cast<int>(share * 100)) + " %  " +
                     std::to_string(static_cast<std::uint64_t>(rate)) + " events/s";
  if (done < state.total) {
    text += rate > 0 ? "  " +
                           minutes_and_seconds(static_cast<std::uint64_t>(
                               static_cast<double>(state.total - done) / rate + 0.5)) +
                           " left"
                     : "  waiting";
  }
  columns = std::min(columns, kColumnsMaximum);
  if (columns < text.size() + kBarMinimum + 2) return text.substr(0, columns);
  const std::size_t width = std::min<std::size_t>(columns - text.size() - 2, 40);
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  std::string bar(filled, '=');
  if (filled < width) bar += '>';
  bar.resize(width, ' ');
  return "[" + bar + "]" + text;
}

Progress::Progress(std::uint64_t total)
    : total_(total),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {
  drawn_ = start_;
}

void Progress::update(std::uint64_t done) {
  const auto now = std::chrono::steady_clock::now();
  const auto interval = is_terminal_ ? std::chrono::nanoseconds(kTerminalInterval) : kLineInterval;
  if (now - drawn_ >= interval) draw(done, now);
}

void Progress::draw(std::uint64_t done, Time now) {
  clear_line();
  const std::string text = render_progress({done, total_, now - start_},
                                           is_terminal_ ? terminal_columns() - 1 : kColumnsMaximum);
  std::fprintf(stderr, is_terminal_ ? "%s" : "%s\n", text.c_str());
  std::fflush(stderr);
  on_line_ = is_terminal_;
  drawn_ = now;
}

void Progress::clear_line() {
  if (on_line_) std::fputs("\r\033[K", stderr);
  on_line_ = false;
}

void Progress::say(const std::string& line) {
  clear_line();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void Progress::finish(std::uint64_t done) {
  draw(done, std::chrono::steady_clock::now());
  if (on_line_) std::fputs("\n", stderr);
  on_line_ = false;
}

}  // namespace packages
