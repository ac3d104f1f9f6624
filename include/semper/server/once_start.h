// OnceStart: which start of a program accepted the casts that it sends with cast_once.
//
// What for: programs that send everything in one order, such as a journal's drain; cast_once.h has the
// rest. When not: sources whose casts to each entity are numbered for themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace semper {

inline constexpr std::size_t kOnceSourceBytes = 128;

// The starts of one log, and of its copies, that the store remembers: two rows of about 100 bytes each.
inline constexpr std::uint64_t kOnceStartsRemembered = 10'000;

// Who accepted casts that are sent in one order.
struct OnceStart {
  std::string log;    // what was copied where a copy was made: 1 to kOnceSourceBytes bytes of UTF-8
  std::string start;  // drawn at random by each start for what it accepts: as long
  // Larger at each start of a log than at those before it. Two copies may have the same.
  std::uint64_t order = 0;
  // This very process is the start, and none of its casts was ever sent, as far as it knows. False
  // for what was found in the log.
  bool sent_nothing = false;
};

}  // namespace semper
