// Package: the durable server of one Debian package, fed with the status events of dpkg's log.
//
// One entity per package and architecture, package/NAME:ARCH. Each event carries its position in
// the log; an event at or before the last position is refused, so that the whole log can be sent
// again at any time, by anyone, and changes nothing.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/base/codec_json.h"
#include "semper/semper.h"

namespace packages {

// Where an event stands in the log: the second that its line says, and its number among the events
// of that second. Counted by what the lines say and not by file or byte, so it stays the same when
// the log grows, is rotated or compressed (dpkg_log.h).
struct Position {
  std::int64_t second = 0;  // of the log's own calendar, since 1970
  std::int64_t index = 0;

  friend auto operator<=>(const Position&, const Position&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Position, second, index)

std::string to_string(const Position& position);  // "1750775785:3"
semper::Result<Position> parse_position(std::string_view text);

// Entries that an entity keeps of its past: the newest ones.
inline constexpr std::size_t kHistoryMaximum = 32;

struct HistoryEntry {
  std::string time;  // as the log has it, local time
  std::string status;
  std::string version;
  Position position;

  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(HistoryEntry, time, status, version, position)

struct PackageState {
  std::string status;
  std::string version;
  Position last_position;
  std::uint64_t events = 0;  // applied since the entity began
  std::vector<HistoryEntry> history;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PackageState, status, version, last_position,
                                                events, history)

// Two counters per run, in keys of our own, changed in the transaction that processes an event: so
// they are exact, whoever is killed when.
struct RunKeys {
  explicit RunKeys(const std::string& run);
  semper::Bytes applied;
  semper::Bytes refused;
};

// A new event for the past, dropping the oldest where there are too many.
void append_history(std::vector<HistoryEntry>& history, HistoryEntry entry);

struct Package {
  static constexpr std::string_view kName = "package";

  using State = PackageState;
  struct Event {
    HistoryEntry entry;
    std::string run;  // whose counters to change; empty: none
  };
  struct Read {
    using Reply = PackageState;
  };
  using Messages = semper::Messages<Event, Read>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  void handle_cast(const Event& event, State& state, semper::Context& context);
  semper::Reply<State> handle_call(const Read&, State& state, semper::Context&) { return state; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Package::Event, entry, run)

}  // namespace packages
