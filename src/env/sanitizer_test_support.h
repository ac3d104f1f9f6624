// What tests have to know of the sanitizers: they hold locks of their own, which fork() takes along, and look
// for leaks at the end of a process, with a thread of their own and through the stacks of those that are there.
#pragma once

namespace semper::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace semper::testing
