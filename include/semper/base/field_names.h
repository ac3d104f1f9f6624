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
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "semper/base/aggregate.h"

namespace semper {
namespace field_names_internal {

template <class T>
struct Held {
  T value;
};
// Only its fields' addresses are used, and only by the compiler.
template <class T>
extern const Held<T> kNeverMade;

template <auto kField>
constexpr std::string_view signature() {
  return __PRETTY_FUNCTION__;
}

// "... [with auto kField = (& kNeverMade<Add>.Held<Add>::value.Add::by); ...]"
constexpr std::string_view last_name(std::string_view text) {
  const std::size_t end = text.rfind(");");
  if (end == std::string_view::npos) return {};
  const std::size_t begin = text.rfind(':', end) + 1;
  return text.substr(begin, end - begin);
}

template <class T>
constexpr auto field_addresses() {
  return visit_fields(kNeverMade<T>.value,
                      [](const auto&... fields) { return std::make_tuple(&fields...); });
}

template <class T, std::size_t... kIndex>
std::vector<std::string> names(std::index_sequence<kIndex...>) {
  return {std::string(last_name(signature<std::get<kIndex>(field_addresses<T>())>()))...};
}

}  // namespace field_names_internal

template <class T>
std::vector<std::string> field_names() {
#if defined(__GNUC__) && !defined(__clang__)
  return field_names_internal::names<T>(std::make_index_sequence<field_count<T>>());
#else
  return {};
#endif
}

}  // namespace semper
