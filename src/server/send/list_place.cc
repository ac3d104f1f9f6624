#include "semper/server/internal/list_place.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

// At the ends, places are numbers of four bytes that count up or down from the middle, so that a
// list that only grows there has short ones. In between, a place is a fraction: the digits that it
// has in common with its neighbour, and one that lies between theirs. What is longer than a number
// does not end with a digit of zero, so there is room before it.
constexpr std::size_t kNumberBytes = 4;
constexpr std::uint32_t kFirst = 1u << 31;
constexpr unsigned kDigits = 256;

unsigned digit(const Bytes& place, std::size_t at) {
  return at < place.size() ? static_cast<unsigned char>(place[at]) : 0;
}

std::uint32_t number_of(const Bytes& place) {
  std::uint32_t number = 0;
  for (std::size_t at = 0; at < kNumberBytes; ++at) number = number << 8 | digit(place, at);
  return number;
}

Bytes place_of(std::uint32_t number) {
  Bytes place;
  append_big_endian_u32(place, number);
  return place;
}

Error end_is_full() {
  return Error(ErrorKind::exhausted,
               "a list has room for 2^31 entries that were added at one end: write its entries "
               "into another list");
}

Result<Bytes> after_last(const Bytes& last) {
  const std::uint32_t number = number_of(last);
  if (number == std::numeric_limits<std::uint32_t>::max()) return fail(end_is_full());
  return place_of(number + 1);
}

Result<Bytes> before_first(const Bytes& first) {
  const std::uint32_t number = number_of(first);
  if (number == 0) return fail(end_is_full());
  return place_of(number - 1);
}

}  // namespace

bool is_list_place(const Bytes& place) {
  if (place.size() == kNumberBytes) return true;
  return place.size() > kNumberBytes && place.size() <= kListPlaceBytesMaximum &&
         place.back() != '\0';
}

Result<Bytes> place_between(const std::optional<Bytes>& before, const std::optional<Bytes>& after) {
  if (!before && !after) return place_of(kFirst);
  if (!after) return after_last(*before);
  if (!before) return before_first(*after);
  SEMPER_ASSERT(*before < *after, "neighbours stand in order");
  Bytes place;
  bool is_below = false;  // a digit was smaller than the upper neighbour's: no bound any more
  while (place.size() < kListPlaceBytesMaximum) {
    const unsigned low = digit(*before, place.size());
    const unsigned high = is_below ? kDigits : digit(*after, place.size());
    if (high > low + 1) {
      unsigned middle = (low + high) / 2;
      if (SEMPER_MUTANT("server_list_place_of_its_neighbour")) middle = low;
      place.push_back(static_cast<char>(middle));
      place.resize(std::max(place.size(), kNumberBytes), '\0');
      return place;
    }
    place.push_back(static_cast<char>(low));
    is_below = is_below || high > low;
  }
  return fail(ErrorKind::exhausted, Limit{"kListPlaceBytesMaximum", kListPlaceBytesMaximum},
              "there is no room left between two entries of a list: move them apart, for example "
              "by moving one to an end and back");
}

}  // namespace semper::internal
