// Reading dpkg's log: every status event of all its files, in the order in which dpkg wrote them.
//
//   2025-06-24 14:36:25 status installed libsystemd0:amd64 252.38-1~deb12u1
//
// Files are ordered by the time of their first line (dpkg.log.3.gz before dpkg.log.2.gz before
// dpkg.log.1 before dpkg.log); within a file, the order of lines is the order of events.
//
// The position of an event is (second, number within that second). Where a line says an earlier
// time than one before it (summer time ends, a clock is set), it counts to the latest second seen
// so far: positions always rise in the order of the log. They are the same at every reading: lines
// are only ever appended, and rotation moves whole lines. When the oldest file is deleted in the
// middle of a second, the rest of that second gets lower numbers than before, and is still refused
// as known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "package.h"

namespace packages {

inline constexpr std::size_t kLineBytesMaximum = 4096;
inline constexpr std::size_t kEventsMaximum = 10'000'000;

struct StatusEvent {
  std::string package;  // NAME:ARCH as the log has it
  HistoryEntry entry;
};

struct DpkgLog {
  std::vector<std::string> files;  // in the order of time
  std::vector<std::string> notes;  // what was left out, and why
  std::vector<StatusEvent> events;
  std::uint64_t lines = 0;
  std::uint64_t lines_not_understood = 0;
  std::string first_not_understood;  // FILE:LINE
};

struct DpkgLogSearch {
  std::string folder = "/var/log";
};

// dpkg.log and what logrotate made of it, plain or gzipped. not_found: there is none; the message
// says what to do.
semper::Result<DpkgLog> find_dpkg_logs(const DpkgLogSearch& search);

// Reads log.files and fills in the rest. Errors: not_found, io, corrupt (a damaged .gz), exhausted
// (more than kEventsMaximum events); each names the file.
semper::Status read_dpkg_log(DpkgLog& log);

// "2025-06-24", "14:36:25" as seconds since 1970 of the same calendar, without a time zone.
semper::Result<std::int64_t> parse_time(std::string_view date, std::string_view time);

// Events until `last`, itself included.
void cut_after(std::vector<StatusEvent>& events, const Position& last);

}  // namespace packages
