// How type_name.h makes a name out of what the compiler says in __PRETTY_FUNCTION__.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>

namespace semper::internal {

// The compiler's text of T begins after a prefix, and ends before a suffix, that do not depend on
// T.
template <class T>
constexpr const char* type_signature() {
  return __PRETTY_FUNCTION__;
}
inline constexpr std::string_view kTypeProbe = type_signature<double>();
inline constexpr std::size_t kTypePrefix = kTypeProbe.find("double");
inline constexpr std::size_t kTypeSuffix =
    kTypeProbe.size() - kTypePrefix - std::string_view("double").size();

template <class T>
constexpr std::string_view compiler_type_name() {
  std::string_view text = type_signature<T>();
  text.remove_prefix(kTypePrefix);
  text.remove_suffix(kTypeSuffix);
  return text;
}

template <std::size_t kCapacity>
struct TypeText {
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
constexpr TypeText<kCapacity> cleaned_type_name(std::string_view name) {
  constexpr std::string_view kAnonymous[] = {"{anonymous}::", "(anonymous namespace)::"};
  TypeText<kCapacity> kept;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t skipped = 0;
    for (const std::string_view anonymous : kAnonymous) {
      if (name.substr(i, anonymous.size()) == anonymous) skipped = anonymous.size();
    }
    if (name.substr(i, 2) == " >") skipped = 1;
    if (skipped == 0) kept.characters[kept.size++] = name[i];
    i += skipped == 0 ? 1 : skipped;
  }
  TypeText<kCapacity> result;
  for (const char character : kept.view().substr(after_enclosing_function(kept.view()))) {
    result.characters[result.size++] = character;
  }
  return result;
}

template <class T>
inline constexpr auto kCleanTypeName =
    cleaned_type_name<compiler_type_name<T>().size() + 1>(compiler_type_name<T>());

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

// A type that says its own name.
template <class T>
concept NamesItself = requires {
  { T::kName } -> std::convertible_to<std::string_view>;
};

template <class T>
constexpr std::string_view whole_type_name() noexcept {
  if constexpr (NamesItself<T>) {
    return T::kName;
  } else {
    return kCleanTypeName<T>.view();
  }
}

// Made by the compiler: a host finds a message's type by it, each time.
template <class T>
inline constexpr std::string_view kShortTypeName = last_part(whole_type_name<T>());

}  // namespace semper::internal
