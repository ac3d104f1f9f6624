#include "semper/base/internal/mutant.h"

#if SEMPER_MUTANTS

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace semper::internal {
namespace {

constexpr std::string_view kNames[] = {
#include "mutant_names.h"
};

std::string_view choose() {
  const char* chosen = std::getenv("SEMPER_MUTANT");
  if (chosen == nullptr || *chosen == '\0') return {};
  const auto found = std::find(std::begin(kNames), std::end(kNames), chosen);
  if (found != std::end(kNames)) return *found;
  std::fprintf(stderr,
               "SEMPER_MUTANT is \"%s\", which is no mutant of this build: "
               "tests/mutants/lists has their names\n",
               chosen);
  std::_Exit(2);
}

const std::string_view& chosen_mutant() {
  static const std::string_view chosen = choose();
  return chosen;
}

// Not at the first use: a program that comes to no mutant is told of a wrong name too.
[[maybe_unused]] const std::string_view& at_start = chosen_mutant();

}  // namespace

bool is_chosen_mutant(std::string_view name) {
  return chosen_mutant() == name;
}

}  // namespace semper::internal

#endif
