#include "semper/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace semper {

void assertion_failed(const char* expression, const char* why, const char* file,
                      int line) noexcept {
  // stderr and nothing else: the state is broken, so as little code as possible runs before abort.
  std::fprintf(stderr, "semper: broken invariant at %s:%d: %s\n  it holds because: %s\n", file,
               line, expression, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace semper
