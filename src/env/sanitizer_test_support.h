// What tests have to know of the sanitizers: they hold locks of their own, which fork() takes
// along, and look for leaks at the end of a process, with a thread of their own and through the
// stacks of those that are there.
#pragma once

#include <gtest/gtest.h>

namespace semper::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace semper::testing

// The first line of a test that forks, without an exec, while other threads of its process live.
// The sanitizers' allocator does not take its locks before a fork: where a thread holds one at that
// moment, the child waits for it for ever; and what only the parent's threads hold is a leak to the
// child.
#define SEMPER_FORKS_BESIDE_THREADS()                                             \
  if (::semper::testing::kSanitized) {                                            \
    GTEST_SKIP() << "a fork beside threads is nothing for the sanitizers' locks"; \
  }                                                                               \
  static_assert(true, "a semicolon follows")

// The first line of a test that leaves its process without a free descriptor. The sanitizers find
// out through a pipe whether memory can be read, and call it bad where they get none.
#define SEMPER_LEAVES_NO_DESCRIPTOR()                                    \
  if (::semper::testing::kSanitized) {                                   \
    GTEST_SKIP() << "the sanitizers look at memory through descriptors"; \
  }                                                                      \
  static_assert(true, "a semicolon follows")
