// The public operations that a class in a header declares, by name: enough of a parser for the
// headers of this project, no more.
#pragma once

#include <set>
#include <string>

namespace semper::simulation {

// Constructors, destructors, operators and nested types are none. Empty: there is no such class.
std::set<std::string> public_operations(const std::string& header, const std::string& type);

}  // namespace semper::simulation
