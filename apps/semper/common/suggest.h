// What a person may have meant who mistyped a name, and lists of names that fit into a sentence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace semper::cli {

// Named in one message at most; what is left is counted.
inline constexpr std::size_t kListedNames = 12;

// The one of `known` that the word is a slip of the finger away from (a letter more, less, other or
// swapped with its neighbour, in three letters of the word at most one; case does not count);
// empty: none.
std::string closest(std::string_view word, const std::vector<std::string>& known);

// "; did you mean Counter?", or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

// "Counter, Order and 5 more", as a person may see it; "none".
std::string listed(const std::vector<std::string>& names);

}  // namespace semper::cli
