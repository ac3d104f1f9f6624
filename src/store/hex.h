// Hexadecimal text of fixed length with hyphens at fixed places: uuids and versionstamps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"

namespace semper::internal {

// The value of a hexadecimal digit of either case, -1 for any other character.
int hex_digit(char c) noexcept;

// Fills `out` with twice as many digits. Hyphens are at all of the places (counted in digits, in
// ascending order) or at none. False, with `out` unspecified, where the text is anything else.
bool read_hyphenated_hex(std::string_view text, std::span<const std::size_t> hyphen_places,
                         std::span<std::uint8_t> out) noexcept;

std::string hyphenated_hex(BytesView bytes, std::span<const std::size_t> hyphen_places);

}  // namespace semper::internal
