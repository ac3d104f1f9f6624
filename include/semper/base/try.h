// SEMPER_ASSIGN_OR_RETURN and its like: return the error of a Result, or else go on with its value.
//
// What for: functions and coroutines that pass errors on to their caller. Include result.h, which
// includes this. The CO_ forms are for coroutines; you write the co_await in the expression. When
// not: under an `if` without braces (each is more than one statement), and where an error needs a
// decision.
//
//   SEMPER_ASSIGN_OR_RETURN(auto value, expression());
//   SEMPER_RETURN_IF_ERROR(status());
//
//   SEMPER_CO_ASSIGN_OR_RETURN(auto value, co_await awaited());
//   SEMPER_CO_RETURN_IF_ERROR(co_await awaited());
//
// The same under shorter names: SEMPER_TRY, SEMPER_TRY_STATUS, SEMPER_CO_TRY, SEMPER_CO_TRY_STATUS.
#pragma once

#include <utility>

#define SEMPER_CONCAT_INNER(a, b) a##b
#define SEMPER_CONCAT(a, b) SEMPER_CONCAT_INNER(a, b)

#define SEMPER_ASSIGN_OR_RETURN(declaration, ...) SEMPER_TRY(declaration, __VA_ARGS__)
#define SEMPER_RETURN_IF_ERROR(...) SEMPER_TRY_STATUS(__VA_ARGS__)
#define SEMPER_CO_ASSIGN_OR_RETURN(declaration, ...) SEMPER_CO_TRY(declaration, __VA_ARGS__)
#define SEMPER_CO_RETURN_IF_ERROR(...) SEMPER_CO_TRY_STATUS(__VA_ARGS__)

#define SEMPER_TRY_IMPL(ret, tmp, declaration, ...)     \
  auto tmp = (__VA_ARGS__);                             \
  if (!tmp) ret ::semper::fail(std::move(tmp).error()); \
  declaration = std::move(*tmp)
#define SEMPER_TRY(declaration, ...) \
  SEMPER_TRY_IMPL(return, SEMPER_CONCAT(semper_try_, __LINE__), declaration, __VA_ARGS__)
#define SEMPER_TRY_STATUS(...)                                                   \
  do {                                                                           \
    auto semper_status = (__VA_ARGS__);                                          \
    if (!semper_status) return ::semper::fail(std::move(semper_status).error()); \
  } while (false)

#define SEMPER_CO_TRY(declaration, ...) \
  SEMPER_TRY_IMPL(co_return, SEMPER_CONCAT(semper_try_, __LINE__), declaration, __VA_ARGS__)
#define SEMPER_CO_TRY_STATUS(...)                                                   \
  do {                                                                              \
    auto semper_status = (__VA_ARGS__);                                             \
    if (!semper_status) co_return ::semper::fail(std::move(semper_status).error()); \
  } while (false)
