// type_name<T>(): the name of a type, as stored with messages and entities and shown to people.
//
// What for: a name that stays the same from build to build and machine to machine, without any
// macro at the type. When not: as a key for types you rename or move between namespaces, and for
// templates over types of other libraries, whose spelling may change: give those a name of their
// own.
//
//   struct Counter { struct Add { std::int64_t by = 1; }; };
//   semper::type_name<Counter::Add>();          // "Counter::Add"
//   semper::short_type_name<Counter::Add>();    // "Add"
//
//   struct Withdrawn { static constexpr std::string_view kName = "bank.withdrawal"; };
//   semper::type_name<Withdrawn>();             // "bank.withdrawal", whatever it is called today
//
// The rules: namespaces and enclosing classes stay; an anonymous namespace, and the function around
// a local type, are left out (so two local types of one name in two files are not told apart); `>>`
// is written without a space. GCC and Clang then agree on all names but those with function types,
// or types of other libraries, as template arguments.
//
// The views are constants of the program: valid for ever, no memory taken. Any thread.
// Idea: __PRETTY_FUNCTION__ at compile time, as in the nameof and ctti libraries.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>

namespace semper {
namespace type_name_internal {

// The compiler's text of T begins after a prefix, and ends before a suffix, that do not depend on
// T.
template <class T>
constexpr const char* signature() {
  return __PRETTY_FUNCTION__;
}
inline constexpr std::string_view kProbe = signature<double>();
inline constexpr std::size_t kPrefix = kProbe.find("double");
inline constexpr std::size_t kSuffix = kProbe.size() - kPrefix - std::string_view("double").size();

template <class T>
constexpr std::string_view compiler_name() {
  std::string_view text = signature<T>();
  text.remove_prefix(kPrefix);
  text.remove_suffix(kSuffix);
  return text;
}

template <std::size_t kCapacity>
struct Text {
  std::array<char, kCapacity> characters{};
  std::size_t size = 0;

  constexpr std::string_view view() const { return {characters.data(), size}; }
};

// Where the name starts after the last function around it: "f(int)::Local" gives 8. GCC writes a
// function that is a lambda as "<lambda(int)>".
constexpr std::size_t after_enclosing_function(std::string_view name) {
  std::size_t start = 0;
  int template_depth = 0;
  bool is_lambda = false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<' && template_depth++ == 0) is_lambda = name.substr(i, 7) == "<lambda";
    if (name[i] == '>') --template_depth;
    const bool ends_function = name[i] == ')' || (name[i] == '>' && is_lambda);
    if (template_depth != 0 || !ends_function) continue;
    const std::size_t separator = name.find("::", i);
    if (separator != std::string_view::npos) start = separator + 2;
  }
  return start;
}

template <std::size_t kCapacity>
constexpr Text<kCapacity> cleaned(std::string_view name) {
  constexpr std::string_view kAnonymous[] = {"{anonymous}::", "(anonymous namespace)::"};
  Text<kCapacity> kept;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t skipped = 0;
    for (const std::string_view anonymous : kAnonymous) {
      if (name.substr(i, anonymous.size()) == anonymous) skipped = anonymous.size();
    }
    if (name.substr(i, 2) == " >") skipped = 1;
    if (skipped == 0) kept.characters[kept.size++] = name[i];
    i += skipped == 0 ? 1 : skipped;
  }
  Text<kCapacity> result;
  for (const char character : kept.view().substr(after_enclosing_function(kept.view()))) {
    result.characters[result.size++] = character;
  }
  return result;
}

template <class T>
inline constexpr auto kCleaned = cleaned<compiler_name<T>().size() + 1>(compiler_name<T>());

constexpr std::string_view last_part(std::string_view name) {
  std::size_t start = 0;
  int template_depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++template_depth;
    if (name[i] == '>') --template_depth;
    if (template_depth == 0 && name.substr(i, 2) == "::") start = i + 2;
  }
  return name.substr(start);
}

}  // namespace type_name_internal

// A type that says its own name: `static constexpr std::string_view kName = "...";`.
template <class T>
concept HasOwnName = requires {
  { T::kName } -> std::convertible_to<std::string_view>;
};

template <class T>
constexpr std::string_view type_name() noexcept {
  if constexpr (HasOwnName<T>) {
    return T::kName;
  } else {
    return type_name_internal::kCleaned<T>.view();
  }
}

namespace type_name_internal {
// Made by the compiler: a host finds a message's type by it, each time.
template <class T>
inline constexpr std::string_view kShortName = last_part(type_name<T>());
}  // namespace type_name_internal

// The part after the last "::".
template <class T>
constexpr std::string_view short_type_name() noexcept {
  return type_name_internal::kShortName<T>;
}

}  // namespace semper
