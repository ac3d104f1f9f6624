// OnceStart: tells which start of a program accepted the casts that it sends with cast_once.
//
// What for: programs that send everything in one order, such as a journal's drain; see cast_once.h.
// When not: sources that number the casts to each entity separately.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace semper {

inline constexpr std::size_t kOnceSourceBytes = 128;

// The starts of one log, and of its copies, that the store remembers: two rows of about 100 bytes
// each.
inline constexpr std::uint64_t kOnceStartsRemembered = 10'000;

// Who accepted casts that are sent in one order.
struct OnceStart {
  std::string log;    // the same in all copies of the log: 1 to kOnceSourceBytes bytes of UTF-8
  std::string start;  // drawn at random by each start for the casts it accepts: the same length
  // Larger for each start of a log than for earlier ones. Two copies may have the same order.
  std::uint64_t order = 0;
  // True: this process is the start, and as far as it knows, none of its casts was ever sent. False
  // for casts that were found in the log.
  bool sent_nothing = false;
};

}  // namespace semper
