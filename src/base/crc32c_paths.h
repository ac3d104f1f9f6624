// The two ways to compute crc32c(), private to it and its test. Both take and give the finished
// form (start and end inverted), so either can continue what the other began.
#pragma once

#include <cstdint>

#include "semper/base/bytes.h"

namespace semper::crc32c_paths {

// Eight table look-ups per eight bytes ("slicing by 8", Kounavis and Berry 2005). Runs everywhere.
std::uint32_t by_table(BytesView bytes, std::uint32_t seed) noexcept;

// The SSE4.2 instruction, three chains at once. Precondition: has_instruction().
std::uint32_t by_instruction(BytesView bytes, std::uint32_t seed) noexcept;

bool has_instruction() noexcept;

}  // namespace semper::crc32c_paths
