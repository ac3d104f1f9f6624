// Fate: what a caller may believe after an operation. The judges of this folder go by it.
#pragma once

#include <cstdint>
#include <string>

namespace semper::testing {

enum class Fate : std::uint8_t {
  done,     // it took effect
  refused,  // it did not, and never will
  open      // it may have, or may still: once, or not at all
};

}  // namespace semper::testing
