// SEMPER_MUTANT: one known bug, planted where it would be made, so that the tests can be tested.
//
//   if (!SEMPER_MUTANT("commit_without_flush")) SEMPER_TRY_VOID(flush());
//
// With the CMake option SEMPER_MUTANTS, which the dev preset sets and nothing that is shipped may,
// it is true where the environment variable SEMPER_MUTANT held that name when the process started.
// Without it, it is the word false. Names, bugs and who must find them: tests/mutants/lists.
//
// Included by sources (*.cc) only, and not installed. CMake looks for this include and tells each
// source which of the two it is.
#pragma once

#ifndef SEMPER_MUTANTS
#error \
    "CMake has not seen yet that this source includes mutant.h: run it again (cmake --preset dev)"
#elif SEMPER_MUTANTS

#include <string_view>

namespace semper::internal {

// Ends the process, with the reason on standard error, where the environment names no known mutant.
// Threads: any.
bool is_chosen_mutant(std::string_view name);

}  // namespace semper::internal

#define SEMPER_MUTANT(name)                                                \
  ([] {                                                                    \
    static const bool chosen = ::semper::internal::is_chosen_mutant(name); \
    return chosen;                                                         \
  }())

#else

#define SEMPER_MUTANT(name) false

#endif
