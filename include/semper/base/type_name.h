// type_name<T>(): the name of a type, as stored with messages and entities and shown to people.
//
// What for: a name that stays the same across builds and machines, without any macro at the type.
// When not: for types that you rename or move between namespaces, and for templates over types of
// other libraries, whose spelling may change: give those an explicit name.
//
//   struct Counter { struct Add { std::int64_t by = 1; }; };
//
//   semper::type_name<Counter::Add>();          // "Counter::Add"
//   semper::short_type_name<Counter::Add>();    // "Add"
//
//   struct Withdrawn { static constexpr std::string_view kName = "bank.withdrawal"; };
//
//   semper::type_name<Withdrawn>();             // "bank.withdrawal", whatever it is called today
//
// The rules: namespaces and enclosing classes are kept; an anonymous namespace, and the function
// around a local type, are omitted (so two local types of the same name in two files cannot be told
// apart); `>>` is written without a space. GCC and Clang then agree on all names but those with
// function types, or types of other libraries, as template arguments.
//
// The views are constants of the program: always valid, and without allocation. Any thread.
// Idea: __PRETTY_FUNCTION__ at compile time, as in the nameof and ctti libraries.
#pragma once

#include <string_view>

#include "semper/base/internal/type_name.h"

namespace semper {

// A type that defines its own name: `static constexpr std::string_view kName = "...";`.
template <class T>
concept HasOwnName = internal::NamesItself<T>;

template <class T>
constexpr std::string_view type_name() noexcept {
  return internal::whole_type_name<T>();
}

// The part after the last "::".
template <class T>
constexpr std::string_view short_type_name() noexcept {
  return internal::kShortTypeName<T>;
}

}  // namespace semper
