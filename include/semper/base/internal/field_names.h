// What the compiler says of the address of a field: how field_names.h learns names.
#pragma once

#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "semper/base/aggregate.h"

namespace semper::internal {

template <class T>
struct HeldAggregate {
  T value;
};
// Only its fields' addresses are used, and only by the compiler.
template <class T>
extern const HeldAggregate<T> kNeverMade;

template <auto kField>
constexpr std::string_view field_signature() {
  return __PRETTY_FUNCTION__;
}

// "... [with auto kField = (& kNeverMade<Add>.HeldAggregate<Add>::value.Add::by); ...]"
constexpr std::string_view last_field_name(std::string_view text) {
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
std::vector<std::string> names_of_fields(std::index_sequence<kIndex...>) {
  return {
      std::string(last_field_name(field_signature<std::get<kIndex>(field_addresses<T>())>()))...};
}

}  // namespace semper::internal
