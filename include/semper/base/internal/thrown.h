// What exceptions of others say of themselves.
#pragma once

#include <exception>
#include <string>

namespace semper::internal {

// what() of a type of the user's own may be null.
inline std::string text_of(const std::exception& thrown) {
  const char* const text = thrown.what();
  return text == nullptr ? "an exception without a text" : text;
}

}  // namespace semper::internal
