// A progress bar with rate and remaining time, on standard error.
//
//   [==============>               ] 2048/4071  50 %  12345 events/s  0:03 left
//
// On a terminal it is one line that is drawn anew; elsewhere a line every few seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace packages {

struct ProgressState {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::chrono::nanoseconds elapsed{0};
};

// The bar as text, at most `columns` wide.
std::string render_progress(const ProgressState& state, std::size_t columns);

class Progress {
 public:
  explicit Progress(std::uint64_t total);

  // Draws, if it is time.
  void update(std::uint64_t done);
  // A line of its own above the bar.
  void say(const std::string& line);
  // Draws for the last time; what follows starts on a new line.
  void finish(std::uint64_t done);

 private:
  using Time = std::chrono::steady_clock::time_point;
  void draw(std::uint64_t done, Time now);
  void clear_line();

  std::uint64_t total_;
  bool is_terminal_;
  bool on_line_ = false;  // the cursor is behind the bar
  Time start_;
  Time drawn_{};
};

}  // namespace packages
