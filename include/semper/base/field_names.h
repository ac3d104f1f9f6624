// field_names<T>(): how the fields of a plain aggregate are called in the source.
//
// What for: people, who write {"by": 2} where a message is stored by position (aggregate.h). When not: a
// stored form; names change with the source, positions do not.
//
//   struct Add { std::int64_t by = 1; std::string note; };
//   semper::field_names<Add>();      // {"by", "note"}
//
// GCC only: empty where the compiler does not tell (Clang before 18, whose templates take no address of a
// field). Whoever uses them can do without.
//
// Threads: any. Idea: the address of a field of an object that is never made, in __PRETTY_FUNCTION__, as in
// Boost.PFR and reflect-cpp.
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
