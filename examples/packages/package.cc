#include "package.h"

#include <charconv>

#include "semper/store/tuple.h"

namespace packages {

std::string to_string(const Position& position) {
  return std::to_string(position.second) + ":" + std::to_string(position.index);
}

semper::Result<Position> parse_position(std::string_view text) {
  Position position;
  const char* const end = text.data() + text.size();
  const auto second = std::from_chars(text.data(), end, position.second);
  if (second.ec == std::errc() && second.ptr != end && *second.ptr == ':') {
    const auto index = std::from_chars(second.ptr + 1, end, position.index);
    if (index.ec == std::errc() && index.ptr == end) return position;
  }
  return semper::fail(semper::ErrorKind::invalid_argument,
                      "position '" + std::string(text) + "' is not SECOND:INDEX");
}

RunKeys::RunKeys(const std::string& run)
    : applied(semper::Tuple{"semper-packages", run, "applied"}.pack()),
      refused(semper::Tuple{"semper-packages", run, "refused"}.pack()) {}

void append_history(std::vector<HistoryEntry>& history, HistoryEntry entry) {
  if (history.size() >= kHistoryMaximum) history.erase(history.begin());
  history.push_back(std::move(entry));
}

void Package::handle_cast(const Event& event, State& state, semper::Context& context) {
  const bool is_new = event.entry.position > state.last_position;
  if (is_new) {
    state.status = event.entry.status;
    state.version = event.entry.version;
    state.last_position = event.entry.position;
    ++state.events;
    append_history(state.history, event.entry);
  }
  if (event.run.empty()) return;
  const RunKeys keys(event.run);
  context.transaction().add(is_new ? keys.applied : keys.refused, 1);
}

}  // namespace packages
