// Where the FoundationDB cluster is that somebody has given to the tests.
#pragma once

#include <optional>
#include <string>

namespace semper::testing {

// The value of an environment variable; nothing: it is not there, or empty.
std::optional<std::string> environment(const char* name);

// Why nothing can be tested on FoundationDB; nothing: it can.
std::optional<std::string> fdb_obstacle();

// The URL of a store of the caller's own, below a random prefix. Its keys stay there.
std::string fdb_store();

}  // namespace semper::testing
