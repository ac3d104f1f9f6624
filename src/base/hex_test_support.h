// For the tests of this room: bytes written as hexadecimal digits.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"

namespace semper::testing {

inline Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

}  // namespace semper::testing
