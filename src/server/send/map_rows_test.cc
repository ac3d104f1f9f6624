// Keys of maps: they sort as their values, come back as they were, and what they are not is
// refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "semper/server/map.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;

enum class Colour : std::uint8_t { red = 1, blue = 200 };

// In the order of the values.
template <class K>
void expect_sorted(const std::vector<K>& keys) {
  std::vector<Bytes> encoded;
  for (const K& key : keys) {
    encoded.push_back(encode_map_key(key).value());
    EXPECT_TRUE(decode_map_key<K>(encoded.back()).value() == key);
  }
  EXPECT_TRUE(std::is_sorted(encoded.begin(), encoded.end()));
  EXPECT_EQ(std::adjacent_find(encoded.begin(), encoded.end()), encoded.end());
}

TEST(MapKeys, sort_as_their_values_and_come_back) {
  expect_sorted<std::int64_t>({INT64_MIN, -256, -255, -1, 0, 1, 255, 256, 70'000, INT64_MAX});
  expect_sorted<std::uint64_t>({0, 1, 255, 256, UINT64_MAX});
  expect_sorted<std::int8_t>({-128, -1, 0, 127});
  expect_sorted<bool>({false, true});
  expect_sorted<Colour>({Colour::red, Colour::blue});
  expect_sorted<double>({-INFINITY, -1.5, 0.0, 1e-300, 3.0, INFINITY});
  expect_sorted<std::string>(
      {"", std::string("\0", 1), "a", std::string("a\0b", 3), "aa", "b", "\xc3\xa4"});
  expect_sorted<ByteString>({{""}, {"\xff"}, {"\xff\xff"}});
  expect_sorted<std::chrono::milliseconds>({-5ms, 0ms, 7ms});
  const WallTime epoch;
  expect_sorted<WallTime>({epoch - 1h, epoch, epoch + 1h});
  expect_sorted<std::pair<std::string, std::int32_t>>(
      {{"", 9}, {"a", -1}, {"a", 300}, {"a\x01", 0}, {"b", 0}});
  expect_sorted<std::tuple<bool, std::pair<std::uint16_t, std::string>>>(
      {{false, {9, "x"}}, {true, {1, "a"}}, {true, {1, "b"}}, {true, {300, ""}}});
}

TEST(MapKeys, text_that_is_not_utf8_is_refused) {
  EXPECT_EQ(encode_map_key(std::string("\xff")).error().kind(), ErrorKind::invalid_argument);
  const std::pair<int, std::string> pair(1, "\xff");
  EXPECT_EQ(encode_map_key(pair).error().kind(), ErrorKind::invalid_argument);
}

TEST(MapKeys, another_type_of_key_is_corrupt) {
  const Bytes wide = encode_map_key(std::int64_t{300}).value();
  EXPECT_EQ(decode_map_key<std::int8_t>(wide).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(decode_map_key<std::uint8_t>(wide).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(decode_map_key<std::string>(wide).error().kind(), ErrorKind::corrupt);
  const Bytes negative = encode_map_key(-1).value();
  EXPECT_EQ(decode_map_key<std::uint64_t>(negative).error().kind(), ErrorKind::corrupt);
  const Bytes pair = encode_map_key(std::pair<int, int>(1, 2)).value();
  EXPECT_EQ(decode_map_key<int>(pair).error().kind(), ErrorKind::corrupt) << "more than one";
  const Bytes one = encode_map_key(1).value();
  EXPECT_EQ((decode_map_key<std::pair<int, int>>(one).error().kind()), ErrorKind::corrupt);
}

TEST(MapNames, are_plain_and_short) {
  EXPECT_TRUE(is_collection_name("lines"));
  EXPECT_TRUE(is_collection_name("A-z_0.9"));
  EXPECT_TRUE(is_collection_name(std::string(kMapNameBytesMaximum, 'n')));
  for (const auto& name : {std::string(), std::string("a b"), std::string("\xc3\xa4"),
                           std::string(kMapNameBytesMaximum + 1, 'n')}) {
    EXPECT_FALSE(is_collection_name(name)) << name;
  }
}

static_assert(MapKey<std::string> && MapKey<unsigned> && MapKey<WallTime>);
static_assert(!MapKey<std::optional<int>> && !MapKey<std::vector<int>> && !MapKey<char>);

}  // namespace
}  // namespace semper::internal
