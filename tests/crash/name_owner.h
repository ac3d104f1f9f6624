// A process that wants a name, and writes as its holder for as long as it believes so.
#pragma once

#include <string>
#include <vector>

#include "semper/base/result.h"

namespace semper::testing {

inline constexpr const char* kOwnedName = "crash/leader";
// Its fenced writes: behind this, the stamp of the commit; the value is the token.
inline constexpr const char* kOwnersWrites = "owners-writes/";

std::vector<std::string> name_owner_arguments(const std::string& store);

// Says "held TOKEN" for each holding and "lost" at its end; campaigns again; until its standard
// input ends.
Status own_a_name(const std::string& store);

}  // namespace semper::testing
