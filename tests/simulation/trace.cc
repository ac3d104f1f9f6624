#include "trace.h"

namespace semper::simulation {

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::call:
      return "call";
    case EventKind::answer:
      return "answer";
    case EventKind::fault:
      return "fault";
    case EventKind::life:
      return "life";
    case EventKind::log:
      return "log";
    case EventKind::phase:
      return "phase";
    case EventKind::finding:
      return "finding";
  }
  return "?";
}

// FNV-1a, by bytes.
void Trace::mix(std::uint64_t number) {
  for (int i = 0; i < 8; ++i) {
    hash_ = (hash_ ^ ((number >> (8 * i)) & 0xff)) * 0x100000001b3;
  }
}

void Trace::add(Duration at, std::size_t lane, EventKind kind, std::string_view text) {
  ++count_;
  mix(static_cast<std::uint64_t>(at.count()));
  mix(lane);
  mix(static_cast<std::uint64_t>(kind));
  for (const char byte : text) {
    hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  if (keeps_ && events_.size() < kEventsAtMost) {
    events_.push_back({at, lane, kind, std::string(text)});
  }
}

}  // namespace semper::simulation
