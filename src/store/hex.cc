#include "store/hex.h"

namespace semper::internal {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool read_hyphenated_hex(std::string_view text, std::span<const std::size_t> hyphen_places,
                         std::span<std::uint8_t> out) noexcept {
  std::size_t digits = 0;
  std::size_t hyphens = 0;
  for (const char c : text) {
    if (c == '-' && hyphens < hyphen_places.size() && digits == hyphen_places[hyphens]) {
      ++hyphens;
      continue;
    }
    const int digit = hex_digit(c);
    if (digit < 0 || digits == 2 * out.size()) return false;
    std::uint8_t& octet = out[digits / 2];
    octet = static_cast<std::uint8_t>(digits % 2 == 0 ? digit << 4 : octet | digit);
    ++digits;
  }
  return digits == 2 * out.size() && (hyphens == 0 || hyphens == hyphen_places.size());
}

std::string hyphenated_hex(BytesView bytes, std::span<const std::size_t> hyphen_places) {
  std::string text = to_hex(bytes);
  for (std::size_t i = hyphen_places.size(); i-- > 0;) text.insert(hyphen_places[i], 1, '-');
  return text;
}

}  // namespace semper::internal
