#include "common/progress.h"

#include <algorithm>
#include <ostream>

#include "common/text.h"

namespace semper::cli {
namespace {

constexpr Duration kBetweenUpdates = std::chrono::milliseconds(250);
constexpr const char* kEraseLine = "\r\x1b[K";
constexpr std::uint64_t kBarCells = 20;

// "[#########-----------] 45 % ".
std::string bar(std::uint64_t done, std::uint64_t total) {
  // More than was expected may come: somebody writes meanwhile.
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto full = static_cast<std::size_t>(share * static_cast<double>(kBarCells));
  return "[" + std::string(full, '#') + std::string(kBarCells - full, '-') + "] " +
         std::to_string(static_cast<int>(share * 100)) + " % ";
}

}  // namespace

Progress::Progress(std::ostream& out, Show show, Clock& clock)
    : out_(out), show_(show), clock_(clock), start_(clock.now()), next_(start_ + kBetweenUpdates) {}

Progress::~Progress() {
  if (shown_) out_ << kEraseLine << std::flush;
}

void Progress::update(std::uint64_t items, std::uint64_t bytes, std::uint64_t total_bytes) {
  if (show_ == Show::no) return;
  const MonotonicTime now = clock_.now();
  if (now < next_) return;
  next_ = now + kBetweenUpdates;
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now - start_).count());
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds);
  out_ << kEraseLine;
  if (total_bytes > 0) out_ << bar(bytes, total_bytes);
  if (items > 0) out_ << items << " items, ";
  out_ << shown_size(bytes);
  if (total_bytes > 0) out_ << " of " << shown_size(total_bytes);
  if (items > 0) {
    out_ << ", " << static_cast<std::uint64_t>(static_cast<double>(items) / seconds) << " items/s";
  }
  out_ << ", " << shown_size(rate) << "/s";
  if (total_bytes > bytes && rate > 0) {
    out_ << ", " << shown_span(std::chrono::seconds((total_bytes - bytes) / rate)) << " left";
  }
  out_ << std::flush;
  shown_ = true;
}

}  // namespace semper::cli
