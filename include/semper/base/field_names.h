// field_names<T>(): the names of a plain aggregate's fields in the source.
//
// What for: letting people write {"by": 2} for a message that is stored by position (aggregate.h).
// When not: a stored format; names change with the source, positions do not.
//
//   struct Add { std::int64_t by = 1; std::string note; };
//
//   semper::field_names<Add>();      // {"by", "note"}
//
// GCC only: empty if the compiler does not provide them (Clang before 18, whose templates accept no
// address of a field). Code that uses them must work without them.
//
// Threads: any. Idea: the address of a field of an object that is never created, in
// __PRETTY_FUNCTION__, as in Boost.PFR and reflect-cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "semper/base/aggregate.h"
#include "semper/base/internal/field_names.h"

namespace semper {
template <class T>
std::vector<std::string> field_names() {
#if defined(__GNUC__) && !defined(__clang__)
  return internal::names_of_fields<T>(std::make_index_sequence<field_count<T>>());
#else
  return {};
#endif
}

}  // namespace semper
