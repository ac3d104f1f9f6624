// SEMPER_ASSERT: an invariant that must hold; otherwise the program stops, in every build.
//
// What for: states that only a bug can reach. When not: bad input, a full disk, a lost peer; those
// are Errors. A program that continues with a broken invariant writes the damage to disk. So the
// check stays in release builds (the idea is TigerBeetle's), and the process aborts with file, line
// and reason.
//
//   SEMPER_ASSERT(popped <= pushed, "a queue cannot have consumed more than it holds");
#pragma once

namespace semper {
[[noreturn]] void assertion_failed(const char* expression, const char* why, const char* file,
                                   int line) noexcept;
}  // namespace semper

#define SEMPER_ASSERT(expression, why)                \
  (__builtin_expect(static_cast<bool>(expression), 1) \
       ? static_cast<void>(0)                         \
       : ::semper::assertion_failed(#expression, why, __FILE__, __LINE__))
