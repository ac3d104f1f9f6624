// Places of lists: there is one between any two, in order, and it stays short where people add.
#include "semper/server/internal/list_place.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "semper/env/random.h"
#include "semper/testing/seed.h"

namespace semper::internal {
namespace {

Bytes between(const std::optional<Bytes>& before, const std::optional<Bytes>& after) {
  auto place = place_between(before, after);
  EXPECT_TRUE(place) << place.error().to_string();
  if (!place) return {};
  EXPECT_TRUE(is_list_place(*place)) << to_printable(*place);
  EXPECT_TRUE(!before || *before < *place);
  EXPECT_TRUE(!after || *place < *after);
  return *place;
}

TEST(ListPlaces, at_the_ends_they_are_short_and_in_order) {
  Bytes first = between({}, {});
  Bytes last = first;
  for (int i = 0; i < 1'000; ++i) {
    last = between(last, {});
    first = between({}, first);
    ASSERT_EQ(last.size() + first.size(), 8u);
  }
}

TEST(ListPlaces, an_end_that_is_full_says_so) {
  const Bytes highest(4, '\xff');
  const Bytes lowest(4, '\0');
  EXPECT_EQ(place_between(highest, {}).error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(place_between({}, lowest).error().kind(), ErrorKind::exhausted);
  between(lowest, highest);
}

TEST(ListPlaces, thousands_fit_between_two_and_then_it_says_that_there_is_no_room) {
  for (const bool from_below : {false, true}) {
    Bytes low = between({}, {});
    Bytes high = between(low, {});
    int inserted = 0;
    while (true) {
      const auto place = place_between(low, high);
      if (!place) {
        EXPECT_EQ(place.error().kind(), ErrorKind::exhausted);
        EXPECT_STREQ(place.error().limit()->name, "kListPlaceBytesMaximum");
        break;
      }
      ASSERT_TRUE(low < *place && *place < high);
      (from_below ? low : high) = *place;
      ++inserted;
    }
    EXPECT_GT(inserted, 3'000);
  }
}

TEST(ListPlaces, stay_in_order_and_short_wherever_they_are_inserted) {
  SeededRandom random(testing::test_seed());
  std::vector<Bytes> places = {between({}, {})};
  for (int i = 0; i < 4'000; ++i) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(places.size() + 1));
    std::optional<Bytes> before;
    std::optional<Bytes> after;
    if (at > 0) before = places[static_cast<std::size_t>(at) - 1];
    if (at < std::ssize(places)) after = places[static_cast<std::size_t>(at)];
    places.insert(places.begin() + at, between(before, after));
    if (random.chance(0.3)) {
      places.erase(places.begin() + static_cast<std::ptrdiff_t>(random.below(places.size())));
    }
    if (places.empty()) places.push_back(between({}, {}));
  }
  EXPECT_TRUE(std::is_sorted(places.begin(), places.end()));
  EXPECT_EQ(std::adjacent_find(places.begin(), places.end()), places.end());
  std::size_t longest = 0;
  for (const Bytes& place : places) longest = std::max(longest, place.size());
  EXPECT_LE(longest, 24u);
}

TEST(ListPlaces, what_did_not_come_from_here_is_no_place) {
  EXPECT_FALSE(is_list_place(""));
  EXPECT_FALSE(is_list_place("abc"));
  EXPECT_FALSE(is_list_place(Bytes("abcd\0", 5))) << "there would be no room before it";
  EXPECT_FALSE(is_list_place(Bytes(kListPlaceBytesMaximum + 1, 'x')));
  EXPECT_TRUE(is_list_place(Bytes(4, '\0')));
}

}  // namespace
}  // namespace semper::internal
