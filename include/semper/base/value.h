// value: the value of a Result, or an exception that carries its Error.
//
// What for: applications, tests and scripts in which an error ends the whole attempt and one place
// handles it. When not: libraries, and code in which the kind decides what comes next (result.h).
// Semper itself throws it only from constructors that are given a failed result (Host).
//
//   try {
//     auto store = semper::value(semper::sync::open_store("sqlite:./data.db"));
//     std::int64_t n = semper::value(hits.call<Counter::Add>(1));
//   } catch (const semper::ErrorException& failed) {
//     std::cerr << failed.what() << "\n";              // "io: ..."; failed.error().kind()
//   }
//
// In coroutines: co_await semper::value(hits.call<Counter::Add>(1)), semper/env/value.h.
//
// Threads: values.
#pragma once

#include <stdexcept>
#include <utility>

#include "semper/base/result.h"

namespace semper {

// what() is Error::to_string().
class ErrorException : public std::runtime_error {
 public:
  explicit ErrorException(Error error)
      : std::runtime_error(error.to_string()), error_(std::move(error)) {}

  const Error& error() const noexcept { return error_; }

 private:
  Error error_;
};

// Throws ErrorException.
template <class T>
T value(Result<T> result) {
  if (!result) throw ErrorException(std::move(result).error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace semper
