#include "common/suggest.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/text.h"

namespace semper::cli {
namespace {

// Longer words are no slips, and comparing them takes time.
constexpr std::size_t kComparedLetters = 64;

std::string lower(std::string_view word) {
  std::string made(word);
  std::transform(made.begin(), made.end(), made.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return made;
}

// Edits that make the one of the other: Damerau and Levenshtein's, with neighbours swapped once.
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before;
  std::vector<std::size_t> last(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::vector<std::size_t> row(to.size() + 1);
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t other = from[i - 1] == to[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + other});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(last, std::move(row));
  }
  return last[to.size()];
}

}  // namespace

std::string closest(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > kComparedLetters) return "";
  const std::string wanted = lower(word);
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string found;
  for (const auto& name : known) {
    if (name.size() > kComparedLetters) continue;
    const std::size_t edits = distance(wanted, lower(name));
    if (edits >= least || edits >= name.size()) continue;
    least = edits;
    found = name;
  }
  return found;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const std::string meant = closest(word, known);
  return meant.empty() ? "" : "; did you mean " + shown(meant) + "?";
}

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kListedNames; ++i) {
    text += (text.empty() ? "" : ", ") + shown(names[i]);
  }
  if (names.size() > kListedNames) {
    text += " and " + std::to_string(names.size() - kListedNames) + " more";
  }
  return text;
}

}  // namespace semper::cli
